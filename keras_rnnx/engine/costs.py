"""Whether an engine that can compute a cell is also the fastest one.

A lowering may hold gates that the cell does not have, or repeat units. Its cost is the
ratio of matrix products in a step: those of the kernel over those of the cell. It saves
the calls of single operations, which matter more the smaller a step is. The limits were
measured with `python -m benchmarks.run --suite engines`; see
`benchmarks/results/engines-*.json`.
"""

from __future__ import annotations

import math

from keras_rnnx.cells import Cell
from keras_rnnx.cells._lowering.spec import KERNELS

# Pairs: the largest ratio of a kernel's products to the cell's, for steps of at most so
# many multiplications per product (batch * units**2).
LIMITS = {
    # Torch's kernels on 2 cores.
    ("native", "training"): ((4 / 3, math.inf), (1.5, 2**18)),
    ("native", "inference"): ((4 / 3, math.inf), (3, 2**18)),
    # On an H100 with torch, a loop that is not recorded takes 8 to 9 times as long as
    # cuDNN to train an LSTM. A leaky cell as a GRU, with three times the products,
    # takes no longer than an LSTM (suites `methods` and `regularized`). Larger ratios,
    # and the limits for TensorFlow, are guesses.
    ("cudnn", "training"): ((4, math.inf), (16, 2**20)),
    ("cudnn", "inference"): ((4, math.inf), (16, 2**20)),
}
# Limits where the loop would be recorded, see `cuda_graphs.py`. In training on an H200,
# kernels with three times the products and more took 1.2 to 2.6 times as long as the
# recorded loop; kernels with up to 1.5 times the products 0.6 to 1.1 times, the plain
# RNN's up to 1.6 times (docs/performance.md). Ratios in between were not measured.
BESIDE_RECORDED = ((1.5, math.inf),)
# The batch size to assume if it is not known.
USUAL_BATCH = 32
# On the CPU, up to this size of a step, the derived backward pass is faster than the
# kernel's, which autodiff runs operation by operation.
DERIVED = 2**19
# Up to that size one call for all layers of a stack is faster still, except for a GRU
# with up to so many sequences. This and the other limits of `refusal_at_once` were
# measured with `--suite stacks`, on torch with one thread.
FEW = 8


def refusal(
    cell: Cell,
    engine: str,
    training: bool,
    batch: int | None = None,
    recorded: bool = False,
) -> str | None:
    """Why an engine that can run a cell is not worth it, or None if it is.

    Args:
        cell: the cell.
        engine: one of `ENGINES`.
        training: whether the call trains.
        batch: number of sequences, None if it is not known.
        recorded: whether a loop instead would be recorded on a GPU, with shapes that
            stay the same. Default False.
    """
    when = "training" if training else "inference"
    limits: tuple[tuple[float, float], ...] | None = LIMITS.get((engine, when))
    if engine == "cudnn" and recorded:
        limits = BESIDE_RECORDED
    if limits is None:
        return None
    lowering = cell.lowering()
    assert not isinstance(lowering, str), "a kernel was not refused"
    matrices = 0 if cell.diagonal else len(cell.gates_of("recurrent_kernel"))
    ratio = lowering.work / max(1, matrices)
    size = step_size(cell.units, batch)
    if any(ratio <= most and size <= limit for most, limit in limits):
        return None
    return (
        f"as a {lowering.kernel} ({lowering.says}) it would take {ratio:.3g} times the "
        f"matrix products, which is slower at {cell.units} units"
    )


def scan_refusal(
    backend: str, on_gpu: bool, training: bool, complex_numbers: bool
) -> str | None:
    """Why a scan over time is not worth it for a linear cell, or None if it is.

    Args:
        backend: name of the Keras backend.
        on_gpu: whether it computes on a GPU.
        training: whether the call trains.
        complex_numbers: whether a linear state is a complex number, in two parts.
    """
    if on_gpu:
        return None
    if backend == "jax" and complex_numbers:
        # Of 1 to 100 sequences, 100 to 2,048 steps and 64 to 256 units, on 2 cores, an
        # LRU took 1.4 to 2.8 times the time of the loop in training, and 0.9 to 4.8
        # times at inference.
        return (
            "on the CPU JAX computes a scan of complex numbers more slowly than a loop"
        )
    if backend == "tensorflow" and not training:
        # A loop took 0.6 to 1.0 times the CPU time of a scan in `predict`, of 32
        # sequences of 100 steps to 16 of 2,048. ONNX has no operations for derivatives.
        return (
            "at inference on the CPU a loop is as fast as a scan, and its graph "
            "contains no derivatives"
        )
    return None


def refusal_at_once(
    cell: Cell, engine: str, training: bool, batch: int | None, sorted_rows: bool
) -> str | None:
    """Why one call of all layers of a stack is not worth it, or None if it is.

    Args:
        cell: the cell of each layer.
        engine, training, batch: as for `refusal`.
        sorted_rows: whether the call must sort rows by their lengths, as torch's
            kernels do for a mask.
    """
    if sorted_rows and engine == "cudnn":
        return "torch's kernels need the lengths of a mask on the host, which waits"
    if engine != "native" or not training:
        return None
    if sorted_rows:
        return (
            "torch's kernels sort the rows of a mask by their lengths, and then train "
            "more slowly"
        )
    derived = len(cell.states) == 1 and step_size(cell.units, batch) < DERIVED
    lowering = cell.lowering()
    assert not isinstance(lowering, str), "a kernel was not refused"
    gates = len(KERNELS[lowering.kernel])
    if derived and gates > 1 and (batch or USUAL_BATCH) <= FEW:
        return (
            f"with {batch} sequences the derived backward pass of each layer is faster"
        )
    return None


def step_size(units: int, batch: int | None) -> int:
    """Multiplications in one recurrent product of a step."""
    return (batch or USUAL_BATCH) * units**2
