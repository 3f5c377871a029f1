"""Which engine a cell gets on a backend and a device that need not be here."""

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
        reason: why, and why no better one.
    """

    engine: str
    reason: str


def expected(cell: Cell, backend: str, device: str, training: bool = True) -> Expected:
    """The engine of a layer of this cell in float32, as `engine.plan` would choose it.

    Nothing of the backend is imported: what it has is known, and lowerings and costs
    do not depend on it.

    Args:
        cell: the cell.
        backend: "TensorFlow", "JAX" or "torch".
        device: "GPU" or "CPU".
        training: whether for training. Default True.

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
        # That no kernel computes it says more than that there is none here.
        reason = lowering
    return Expected(engine.name, reason)
