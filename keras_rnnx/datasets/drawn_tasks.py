"""Tasks whose sequences are drawn: memory, noise and chaos, of any length."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from keras_rnnx._errors import unknown
from keras_rnnx._numbers import integer
from keras_rnnx.datasets import digits, drawn
from keras_rnnx.datasets._making.splitting import Split
from keras_rnnx.datasets.drawn._parts import PARTS, generator, parts_and_options
from keras_rnnx.datasets.registry import register_task
from keras_rnnx.datasets.task import Task


@register_task("copy_memory")
def copy_memory(
    length: int = 100,
    symbols: int = 8,
    copied: int = 10,
    train: int = 10_000,
    validation: int = 1_000,
    test: int = 1_000,
    seed: int = 0,
) -> Task:
    """The copy memory problem: to tell symbols again after many blanks.

    See `keras_rnnx.datasets.drawn.copy_memory` (Arjovsky, Shah & Bengio 2016,
    arXiv:1511.06464). A model answers at every step.

    Args:
        length: number of steps between the symbols and their copy. Default 100.
        symbols: number of symbols. Default 8.
        copied: number of steps to copy. Default 10.
        train, validation, test: numbers of sequences. Default 10,000, 1,000 and 1,000.
        seed: seed of the data. Default 0.

    Returns:
        The task, of kind "tagging"; `x` is one-hot, `(n, length + 2 * copied, symbols +
        2)`.

    Raises:
        ValueError: for an option that is not an integer, or too small.

    Example:

    >>> task = keras_rnnx.datasets.load_task("copy_memory", length=20, train=8)
    >>> task.train.x.shape, task.classes
    ((8, 40, 10), 9)
    """
    draw = functools.partial(drawn.copy_memory, symbols=symbols, copied=copied)
    parts, options = parts_and_options(draw, 1, length, train, validation, test, seed)
    one_hot: np.ndarray = np.eye(symbols + 2, dtype="float32")
    return _task(
        "copy_memory",
        f"Tell {copied} symbols again after {length} steps.",
        [Split(one_hot[part.x], part.y) for part in parts],
        {**options, "symbols": symbols, "copied": copied},
        kind="tagging",
        classes=symbols + 1,
    )


@register_task("parity")
def parity(
    length: int = 50,
    train: int = 10_000,
    validation: int = 1_000,
    test: int = 1_000,
    seed: int = 0,
) -> Task:
    """The parity of bits: whether the number of ones is odd.

    See `keras_rnnx.datasets.drawn.parity` (Hochreiter & Schmidhuber 1997).

    Args:
        length: number of steps. Default 50.
        train, validation, test: numbers of sequences. Default 10,000, 1,000 and 1,000.
        seed: seed of the data. Default 0.

    Returns:
        The task; `x` is `(n, length, 1)`, and `y` is `(n,)`, 0 or 1.

    Raises:
        ValueError: for an option that is not an integer, or too small.

    Example:

    >>> keras_rnnx.datasets.load_task("parity", length=20, train=8).train.x.shape
    (8, 20, 1)
    """
    parts, options = parts_and_options(
        drawn.parity, 1, length, train, validation, test, seed
    )
    description = f"Whether the number of ones among {length} bits is odd."
    return _task("parity", description, parts, options, classes=2)


@register_task("noise_padded_digits")
def noise_padded_digits(length: int = 200, by: str = "rows", seed: int = 0) -> Task:
    """Handwritten digits that are followed by noise, and must be kept through it.

    The digits of the task "digits"; see `keras_rnnx.datasets.drawn.noise_padded` (in
    the way of Chang et al. 2019, arXiv:1902.09689).

    Args:
        length: number of steps with the noise. Default 200.
        by: how a digit is read: in 8 "rows" of 8 values, or in 64 "pixels". Default
            "rows".
        seed: seed of the split and of the noise. Default 0.

    Returns:
        The task; `x` is `(n, length, 8)` or `(n, length, 1)`.

    Raises:
        ValueError: for an option that does not fit.
        ImportError: if scikit-learn is not installed.

    Example:

    >>> keras_rnnx.datasets.load_task("noise_padded_digits").train.x.shape
    (1280, 200, 8)
    """
    if by not in ("rows", "pixels"):
        raise unknown("way to read a digit, `by`", by, ("rows", "pixels"))
    integer("seed", seed, 0)
    held = digits.parts(seed)
    parts = []
    for name in PARTS:
        x, y = held[name]
        x = x.reshape(-1, 8, 8) if by == "rows" else x
        parts.append(Split(drawn.noise_padded(generator(seed, name), x, length), y))
    return _task(
        "noise_padded_digits",
        f"Ten handwritten digits, followed by noise up to {length} steps.",
        parts,
        {"length": length, "by": by, "seed": seed},
        classes=10,
    )


@register_task("mackey_glass")
def mackey_glass(
    length: int = 200,
    horizon: int = 15,
    delay: int = 17,
    train: int = 1_000,
    validation: int = 200,
    test: int = 200,
    seed: int = 0,
) -> Task:
    """Chaotic series of Mackey & Glass 1977, forecast some steps ahead.

    See `keras_rnnx.datasets.drawn.mackey_glass`.

    Args:
        length: number of steps that are read. Default 200.
        horizon: how many steps ahead the target lies. Default 15.
        delay: the delay of the equation; 30 is more chaotic. Default 17.
        train, validation, test: numbers of series. Default 1,000, 200 and 200.
        seed: seed of the data. Default 0.

    Returns:
        The task, of kind "forecasting"; `x` is `(n, length, 1)`, `y` is `(n, 1, 1)`.

    Raises:
        ValueError: for an option that is not an integer, or too small.

    Example:

    >>> task = keras_rnnx.datasets.load_task("mackey_glass", length=50, train=8)
    >>> task.train.x.shape, task.train.y.shape
    ((8, 50, 1), (8, 1, 1))
    """
    draw = functools.partial(drawn.mackey_glass, horizon=horizon, delay=delay)
    parts, options = parts_and_options(draw, 1, length, train, validation, test, seed)
    return _task(
        "mackey_glass",
        f"A chaotic series, {horizon} steps ahead.",
        [Split(part.x, part.y[:, -1:]) for part in parts],
        {**options, "horizon": horizon, "delay": delay},
        kind="forecasting",
    )


@register_task("lorenz")
def lorenz(
    length: int = 100,
    horizon: int = 25,
    train: int = 1_000,
    validation: int = 200,
    test: int = 200,
    seed: int = 0,
) -> Task:
    """Trajectories of Lorenz 1963, forecast some steps ahead.

    See `keras_rnnx.datasets.drawn.lorenz`.

    Args:
        length: number of steps that are read. Default 100.
        horizon: how many steps ahead the target lies. Default 25, half a unit of time.
        train, validation, test: numbers of trajectories. Default 1,000, 200 and 200.
        seed: seed of the data. Default 0.

    Returns:
        The task, of kind "forecasting"; `x` is `(n, length, 3)`, `y` is `(n, 1, 3)`.

    Raises:
        ValueError: for an option that is not an integer, or too small.

    Example:

    >>> task = keras_rnnx.datasets.load_task("lorenz", length=50, train=8)
    >>> task.train.x.shape, task.train.y.shape
    ((8, 50, 3), (8, 1, 3))
    """
    draw = functools.partial(drawn.lorenz, horizon=horizon)
    parts, options = parts_and_options(draw, 1, length, train, validation, test, seed)
    return _task(
        "lorenz",
        f"A chaotic trajectory, {horizon} steps ahead.",
        [Split(part.x, part.y[:, -1:]) for part in parts],
        {**options, "horizon": horizon},
        kind="forecasting",
    )


def _task(
    name: str, description: str, parts: Any, options: dict[str, Any], **more: Any
) -> Task:
    return Task(
        name=name,
        description=description,
        options=options,
        **dict(zip(PARTS, parts)),
        **more,
    )
