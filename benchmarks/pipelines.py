"""The batches of a task beside a model that is trained on them.

For each kind of task: an epoch of `task.batches("train")` read alone, and an epoch of
training steps of an LSTM on batches that are there already. A pipeline does not hold a
model up if it is several times as fast.
"""

from __future__ import annotations

import keras
import numpy as np

from benchmarks import timing
from keras_rnnx import models
from keras_rnnx.datasets import KINDS, Task

# Batches of an epoch, as many for each kind.
BATCHES = 8
TOKENS, CLASSES = 1000, 10


def names() -> tuple[str, ...]:
    """The kinds of tasks."""
    return tuple(KINDS)


def task(kind: str, size: tuple[int, ...]) -> Task:
    """Data drawn at random, of lengths from half of the steps to one and a half.

    Args:
        kind: kind of the task.
        size: batch, steps, inputs, units.
    """
    batch, steps, inputs, _ = size
    rng = np.random.default_rng(0)
    n = BATCHES * batch
    total = n + 2 * CLASSES
    lengths = rng.integers(max(2, steps // 2), steps + steps // 2 + 1, total)
    rows = [rng.normal(size=(k, inputs)).astype("float32") for k in lengths]
    parts = {"validation": CLASSES, "test": CLASSES}
    if kind == "language_model":
        tokens = [str(t) for t in rng.integers(0, TOKENS, n * steps + 2 * total)]
        return Task.from_text(tokens, level="word", validation=total, test=total)
    if kind == "forecasting":
        series = rng.normal(size=(n + 2 * steps + 40, inputs))
        return Task.from_series(series, steps, 4, validation=20, test=20)
    if kind == "classification":
        return Task.from_arrays(rows, np.arange(total) % CLASSES, **parts)
    if kind == "regression":
        return Task.from_arrays(rows, rng.normal(size=total), **parts)
    if kind == "tagging":
        tags = [np.arange(k) % CLASSES for k in lengths]
        return Task.from_arrays(rows, tags, **parts)
    if kind == "next_step":
        frames = [(rng.random((k + 1, inputs)) < 0.1).astype("uint8") for k in lengths]
        return Task.from_arrays(frames, kind=kind, **parts)
    if kind == "ctc":
        labels = [1 + np.arange(2 + k // 8) % CLASSES for k in lengths]
        return Task.from_arrays(rows, labels, kind=kind, **parts)
    pairs = [rng.integers(3, TOKENS, k) for k in lengths]
    return Task.from_arrays(pairs, [p[::-1] for p in pairs], kind=kind, **parts)


def measure(name: str, size: tuple[int, ...], seconds: float) -> dict:
    """One row: milliseconds of an epoch.

    Args:
        name: kind of the task.
        size: batch, steps, inputs, units.
        seconds: for all that is compared in the row.
    """
    batch, steps, _, units = size
    made = task(name, size)
    options = {"steps": steps} if name == "language_model" else {}
    batches = made.batches("train", batch, **options)
    model = models.for_task(made, cell="lstm", units=units)
    made.compile(model, metrics=[])
    there = _read(batches)
    functions = {
        "batches": lambda: _read(batches),
        "LSTM": lambda: _train(model, there),
    }
    return timing.row(name, size, {"epoch": functions}, seconds)


def _read(batches: keras.utils.PyDataset) -> list:
    """An epoch, in its order, and on to the next one."""
    batches.on_epoch_begin()
    found = [batches[k] for k in range(len(batches))]
    batches.on_epoch_end()
    return found


def _train(model, batches):
    for x, y, *_ in batches:
        model.train_on_batch(x, y)
