"""Which engine a cell gets on a backend and a device that need not be here."""

from __future__ import annotations

from typing import NamedTuple

from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._lowering.spec import KERNELS
from keras_rnnx.engine import costs

# By kernel the back ends that have it. JAX has it in float32 alone.
SERVED = dict.fromkeys(KERNELS, ("TensorFlow", "torch")) | {
    "lstm": ("TensorFlow", "JAX", "torch"),
    "lstmp": ("torch",),
}
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
    engine = _vendor(backend, device)
    refused = f"{backend} has no fused kernels on the {device}"
    if engine:
        refused = _refusal(cell, backend, engine, training)
    if engine and refused is None:
        says = cell.lowering().says
        return Expected(engine, f"exact: {says}" if says else "exact")
    if cell.linear:
        refused = costs.scan_refusal(backend.lower(), device == "GPU", training)
        if refused is None:
            return Expected("scan", "linear in the state")
        return Expected("fused", refused)
    lowering = cell.lowering()
    return Expected("fused", lowering if isinstance(lowering, str) else refused)


def _vendor(backend, device):
    """The engine that runs vendors' kernels there, or None."""
    if device == "GPU":
        return "cudnn"
    return "native" if backend == "torch" else None


def _refusal(cell, backend, engine, training):
    lowering = cell.lowering()
    if isinstance(lowering, str):
        return lowering
    if backend not in SERVED[lowering.kernel]:
        # As `kernel_refusal` says in the files of the backends.
        if backend == "TensorFlow":
            return "TensorFlow does not say where its cuDNN op takes the projection"
        return f"{backend} has cuDNN's LSTM alone, and this is its {lowering.kernel}"
    return costs.refusal(cell, engine, training)
