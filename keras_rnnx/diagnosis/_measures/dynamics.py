"""How small changes of a state grow: step Jacobians, and recurrent matrices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnx._spectral import spectral_radius
from keras_rnnx.cells import Cell
from keras_rnnx.diagnosis._derivatives import Pullback
from keras_rnnx.diagnosis._loop import CellLoop
from keras_rnnx.diagnosis._recording import Call
from keras_rnnx.diagnosis._snapshot import variables
from keras_rnnx.diagnosis.measured import Dynamics, Kernel

# Steps along which changes are followed, and sequences.
STEPS, SEQUENCES = 64, 2
# Numbers in a state of which the whole Jacobian is computed.
WHOLE = 256
# Directions that are followed.
DIRECTIONS = 16
# The share of the steps in which directions turn to those that grow most.
WARM_UP = 0.25
# Rows of a batch in which each row is a direction of one step.
ROWS = 2048
# Units up to which eigenvalues are computed; beyond, the radius comes from products.
EIGENVALUES = 256
# A singular value below is one that lost the direction.
LOST = 1e-30

GATES = {
    keras.layers.LSTMCell: ("i", "f", "c", "o"),
    keras.layers.GRUCell: ("z", "r", "h"),
    keras.layers.SimpleRNNCell: ("h",),
}


def measure(model: keras.Model, loop: CellLoop, call: Call, seed: int) -> Dynamics:
    """The measure of one layer.

    Args:
        model: the model.
        loop: of the layer.
        call: a call of it, as arrays.
        seed: of the directions that are followed.
    """
    at = places(call)
    pull = pullback(model, loop)
    count = at.shape[1]
    width = sum(state.shape[-1] for state in call.first)
    chosen = np.random.default_rng(seed)
    start = np.linalg.qr(chosen.normal(size=(width, min(width, DIRECTIONS))))[0]
    if width <= WHOLE:
        found = list(jacobians(pull, call, at))
        exponents = [lyapunov(matrices, start) for matrices in found]
        squares = np.mean([np.square(m).sum(axis=(1, 2)).mean() for m in found])
        gain = float(np.sqrt(squares / width))
    else:
        exponents, gain = _backwards(pull, call, at, start), None
    exponents = np.sort(np.mean(exponents, axis=0))[::-1]
    return Dynamics(exponents, gain, count, kernels(loop.cell))


def places(call: Call) -> np.ndarray:
    """The last valid steps of the longest sequences, as pairs of step and row.

    Returns:
        `(sequences, steps, 2)`.
    """
    width = sum(state.shape[-1] for state in call.first)
    sequences = int(np.clip(2 * WHOLE // width, 1, SEQUENCES))
    rows = np.argsort(-call.lengths, kind="stable")[:sequences]
    steps = int(min(STEPS, call.lengths[rows].min()))
    found = [np.flatnonzero(call.valid[:, row])[-steps:] for row in rows]
    return np.stack([np.stack([t, np.full(steps, r)], -1) for t, r in zip(found, rows)])


def pullback(model: keras.Model, loop: CellLoop) -> Pullback:
    """From inputs and states of a step to the states behind it, flat."""

    def function(tensors: list[Any]) -> list[Any]:
        x, *states = tensors
        with loop.single(x.shape[0]):
            _, new = loop.step(x, states)
        return new

    return Pullback(function, variables(model), fixed=1)


def jacobians(pull: Pullback, call: Call, at: np.ndarray) -> Iterator[np.ndarray]:
    """The Jacobians of the states behind a step for those before it.

    A row of a batch is one entry of the state behind the step, so that one derivative
    gives them all.

    Args:
        pull: what `pullback` returned.
        call: of the layer.
        at: what `places` returned.

    Yields:
        For each sequence `(steps, width, width)`.
    """
    widths = [state.shape[-1] for state in call.first]
    width = sum(widths)
    each = max(1, ROWS // width)
    flat = at.reshape(-1, 2)
    found = []
    for start in range(0, len(flat), each):
        part = flat[start : start + each]
        # Always as many, so that one program serves.
        missing = min(each, len(flat)) - len(part)
        part = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
        directions = np.tile(np.eye(width, dtype="float32"), (len(part), 1))
        rows = _products(pull, call, np.repeat(part, width, axis=0), directions)
        rows = rows.reshape(len(part), width, width)
        found.append(rows[: len(part) - missing])
    together = np.concatenate(found).astype("float64")
    yield from together.reshape(*at.shape[:2], width, width)


def _products(
    pull: Pullback, call: Call, places: np.ndarray, directions: np.ndarray
) -> np.ndarray:
    """Of some steps: a direction times the Jacobian of the step."""
    steps, rows = places.T
    before = [state[steps, rows] for state in call.before]
    ends = np.cumsum([state.shape[-1] for state in before])[:-1]
    cotangents = np.split(directions.astype("float32"), ends, axis=1)
    _, (found,) = pull([call.inputs[steps, rows], *before], [cotangents])
    return np.concatenate(found, axis=1)


def lyapunov(matrices: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Growth a step of directions under a product of matrices, on the logarithm.

    Args:
        matrices: `(steps, width, width)`, the first step first.
        start: orthonormal columns `(width, directions)`.
    """
    logs, directions = [], start
    for matrix in matrices:
        directions, triangle = np.linalg.qr(matrix @ directions)
        logs.append(_sizes(triangle))
    return _growth(logs)


def _backwards(
    pull: Pullback, call: Call, at: np.ndarray, start: np.ndarray
) -> list[np.ndarray]:
    """The same by products from the left, from the last step to the first.

    The transposed product has the same exponents, and needs no Jacobian.
    """
    sequences, steps, _ = at.shape
    count = start.shape[1]
    directions = np.repeat(start[None], sequences, axis=0)
    logs: list[list[np.ndarray]] = [[] for _ in range(sequences)]
    found: np.ndarray
    for t in reversed(range(steps)):
        rows = np.swapaxes(directions, 1, 2).reshape(sequences * count, -1)
        places = np.repeat(at[:, t], count, axis=0)
        found = _products(pull, call, places, rows).astype("float64")
        for k, block in enumerate(found.reshape(sequences, count, -1)):
            directions[k], triangle = np.linalg.qr(block.T)
            logs[k].append(_sizes(triangle))
    return [_growth(each) for each in logs]


def _sizes(triangle: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.abs(np.diagonal(triangle)), LOST))


def _growth(logs: list[np.ndarray]) -> np.ndarray:
    skipped = int(WARM_UP * len(logs))
    return np.mean(logs[skipped:], axis=0)


# --- recurrent matrices ---


def kernels(cell: Any) -> dict[str, Kernel]:
    """The recurrent matrix of each gate, of cells in which gates have one."""
    return {gate: _kernel(matrix) for gate, matrix in _matrices(cell).items()}


def _matrices(cell: Any) -> dict[str, np.ndarray]:
    if isinstance(cell, Cell):
        if cell.diagonal or getattr(cell, "recurrent_kernel", None) is None:
            return {}
        matrix = cell.recurrent_matrix(ops.convert_to_tensor(cell.recurrent_kernel))
        names = cell.gates_of("recurrent_kernel")
    elif type(cell) in GATES:
        matrix, names = cell.recurrent_kernel, GATES[type(cell)]
    else:
        return {}
    matrix = keras.ops.convert_to_numpy(matrix).astype("float64")
    return dict(zip(names, np.split(matrix, len(names), axis=1)))


def _kernel(matrix: np.ndarray) -> Kernel:
    norm = float(np.linalg.norm(matrix, 2))
    rows, columns = matrix.shape
    if rows != columns:
        return Kernel(None, norm)
    if rows <= EIGENVALUES:
        return Kernel(float(np.max(np.abs(np.linalg.eigvals(matrix)))), norm)
    found = spectral_radius(ops.convert_to_tensor(matrix[None], "float32"))
    return Kernel(float(keras.ops.convert_to_numpy(found)[0]), norm)
