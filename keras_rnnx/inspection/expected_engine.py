"""The engine of a cell on a backend and a device that this machine need not have."""

from __future__ import annotations

from typing import NamedTuple

from keras_rnnx import layers
from keras_rnnx.cells import Cell
from keras_rnnx.engine import device as devices
from keras_rnnx.engine.plan import choose

BACKENDS = ("TensorFlow", "JAX", "torch")
DEVICES = ("GPU", "CPU")


class Expected(NamedTuple):
    """The engine that a cell gets.

    Attributes:
        engine: "cudnn", "native", "scan" or "fused".
        reason: why this engine, and why no better one.
    """

    engine: str
    reason: str


def expected(cell: Cell, backend: str, device: str, training: bool = True) -> Expected:
    """The engine of a layer of this cell in float32, as `engine.plan` would choose it.

    The backend is not imported: its kernels are known, and lowerings and costs do not
    depend on it.

    Args:
        cell: the cell.
        backend: "TensorFlow", "JAX" or "torch".
        device: "GPU" or "CPU".
        training: whether to plan for training. Default True.

    Returns:
        The engine, and the reason.

    Example:

    >>> expected(keras_rnnx.cells.GRUCell(8), "JAX", "GPU").engine
    'fused'
    """
    there = devices.elsewhere(backend, device == "GPU")
    engine, reason = choose(layers.RNN(cell), training, there)
    lowering = cell.lowering()
    if engine.name == "fused" and isinstance(lowering, str) and not cell.linear:
        # Why no kernel computes the cell tells more than that this device has none.
        reason = lowering
    return Expected(engine.name, reason)
