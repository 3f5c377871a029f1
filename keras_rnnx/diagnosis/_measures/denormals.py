"""Numbers too small for a full mantissa, on which processors take long.

XLA and TensorFlow take them for 0. torch computes with them, as IEEE 754 has it: an
operation on one can take a hundred times as long, and where a gradient vanishes over
hundreds of steps, most operations are on such numbers.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterator

import keras
import numpy as np

from keras_rnnx.callbacks.gradients import gradient_function
from keras_rnnx.diagnosis._data import Batch
from keras_rnnx.diagnosis._recording import Call
from keras_rnnx.diagnosis.measured import Denormals

# A smaller share of such numbers costs nothing that can be measured.
WORTH_TIMING = 0.01
# Timed gradients with and without them, in turn, after one that warms up.
REPETITIONS = 3


def measure(model: keras.Model, batch: Batch, part: float) -> Denormals | None:
    """What denormal numbers cost; None where there are few, or none is kept.

    Args:
        model: a compiled model.
        batch: what its gradient is timed on.
        part: what `largest_share` returned.
    """
    if part < WORTH_TIMING or not kept():
        return None
    compute = gradient_function(model)
    times: dict[bool, list[float]] = {False: [], True: []}
    with _one_thread():
        for _ in range(1 + REPETITIONS):
            for flush, measured in times.items():
                with flushed() if flush else contextlib.nullcontext():
                    start = time.perf_counter()
                    compute(batch.parts)
                    measured.append(time.perf_counter() - start)
    return Denormals(part, *(min(measured[1:]) for measured in times.values()))


def largest_share(calls: list[Call], gradients: list[list[np.ndarray]]) -> float:
    """The share of denormal numbers, in the call where it is largest.

    Args:
        calls: calls of recurrent layers, as arrays.
        gradients: for the states of each call.
    """
    groups = [*(call.states for call in calls), *gradients]
    return max((_share(arrays) for arrays in groups), default=0.0)


def _share(arrays: list[np.ndarray]) -> float:
    size = sum(array.size for array in arrays)
    return sum(map(_count, arrays)) / size if size else 0.0


def _count(array: np.ndarray) -> int:
    if not np.issubdtype(array.dtype, np.floating):
        return 0
    sizes = np.abs(array)
    return int(((sizes > 0) & (sizes < np.finfo(array.dtype).tiny)).sum())


def kept() -> bool:
    """Whether the backend computes with denormal numbers, on the processor."""
    if keras.backend.backend() != "torch":
        return False
    torch = importlib.import_module("torch")
    if keras.ops.convert_to_tensor(0.0).device.type != "cpu":
        return False
    smaller = torch.full((), torch.finfo(torch.float32).tiny) / 4
    return bool(smaller != 0)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """A block in which torch has no other threads: `flushed` does not reach them."""
    torch = importlib.import_module("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def flushed() -> Iterator[None]:
    """A block in which the thread takes denormal numbers for 0."""
    torch = importlib.import_module("torch")
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
