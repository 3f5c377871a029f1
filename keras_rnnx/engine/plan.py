"""Which engine runs a layer, and why."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from keras_rnnx._errors import unknown
from keras_rnnx.cells import Cell
from keras_rnnx.engine import backends

ENGINES = ("fused", "step")

_forced: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "keras_rnnx_engine", default=None
)


@dataclass(frozen=True)
class Plan:
    """How a layer is run.

    Attributes:
        engine: "fused" or "step".
        kernel: what does the work, in words.
        reason: why this engine.
    """

    engine: str
    kernel: str
    reason: str


@contextlib.contextmanager
def force(engine: str) -> Iterator[None]:
    """Runs every keras_rnnx layer called inside with one engine.

    For tests and benchmarks. A compiled `model.fit` or `tf.function` keeps the engine
    it was traced with.

    Args:
        engine: "fused" or "step".

    Raises:
        ValueError: for an unknown engine; and inside, when a layer is called that this
            engine cannot run.

    Example:

    >>> layer = keras_rnnx.layers.LSTM(8)
    >>> with keras_rnnx.engine.force("step"):
    ...     y = layer(np.ones((2, 5, 3), "float32"))
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    token = _forced.set(engine)
    try:
        yield
    finally:
        _forced.reset(token)


def refusal(cell: Any) -> str | None:
    """Why the fused engine cannot run this cell, or None if it can."""
    if isinstance(cell, keras.layers.StackedRNNCells):
        return "a stack of cells interleaves its cells at every step"
    if not isinstance(cell, Cell):
        return (
            f"{type(cell).__name__} is not a keras_rnnx cell, so its equation is not "
            f"known"
        )
    if type(cell).call is not Cell.call:
        return f"{type(cell).__name__} has a `call` of its own"
    if backends.current() is None:
        return f"the {keras.backend.backend()} backend has no fused engine"
    return None


def plan(layer: keras.layers.Layer) -> Plan:
    """Chooses the engine for a recurrent layer.

    Args:
        layer: a `keras_rnnx.layers.RNN`.

    Returns:
        The plan.

    Raises:
        ValueError: when an engine was asked for that cannot run the layer.
    """
    refused = refusal(layer.cell)
    if getattr(layer, "use_cudnn", "auto") is True:
        raise ValueError(
            f"use_cudnn=True cannot be had for layer {layer.name!r} "
            f"({type(layer.cell).__name__} on the {keras.backend.backend()} backend): "
            f"this version of keras_rnnx has no cuDNN engine. Pass use_cudnn='auto'."
        )
    forced = _forced.get()
    if forced == "fused" and refused:
        raise ValueError(
            f"The fused engine was forced, but cannot run layer {layer.name!r}: "
            f"{refused}."
        )
    if forced == "step":
        return Plan("step", "Keras' loop", "forced")
    if refused:
        return Plan("step", "Keras' loop", refused)
    reason = "forced" if forced else "the equation is known"
    return Plan("fused", backends.current().KERNEL, reason)
