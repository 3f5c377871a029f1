"""The values of the gates of a layer, where they are sigmoids."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.diagnosis._derivatives import without_gradients
from keras_rnnx.diagnosis._loop import CellLoop
from keras_rnnx.diagnosis._recording import Call
from keras_rnnx.diagnosis.report import GateShares

SHUT, OPEN = 0.05, 0.95
# A gate that keeps the state is stuck where it keeps it for so many lengths of the
# data: training can't tell it from one that keeps it for good.
LENGTHS = 100
# Steps that are looked at, of all sequences together.
MOST = 4096

SIGMOIDS = (keras.activations.sigmoid, keras.activations.hard_sigmoid)
# As in `Cell.memory_gates`.
MEMORY: dict[Any, dict[str, int]] = {
    keras.layers.LSTMCell: {"f": 1, "i": -1},
    keras.layers.GRUCell: {"z": 1},
}


def memory_gates(cell: Any) -> dict[str, int]:
    """The gates that keep the state, with the sign with which they do."""
    if isinstance(cell, Cell):
        return cell.memory_gates
    return MEMORY.get(type(cell), {})


def shares(loop: CellLoop, call: Call, seed: int) -> dict[str, GateShares]:
    """How many of the values of each gate are near its ends.

    Args:
        loop: of the layer.
        call: a call of it, as arrays.
        seed: of the choice of steps, where there are many.
    """
    length = max(1.0, float(np.median(call.lengths)))
    signs = memory_gates(loop.cell)
    found = {}
    for gate, value in values(loop, call, seed).items():
        shut, opened = value < SHUT, value > OPEN
        sign = signs.get(gate, 0)
        stuck = shut | opened
        if sign:
            # The long memory of a gate that is open on purpose is none of it.
            keeps = 1 - value if sign > 0 else value
            stuck = keeps < 1 / (LENGTHS * length)
            stuck |= opened if sign < 0 else np.zeros_like(stuck)
        found[gate] = GateShares(*(float(np.mean(m)) for m in (shut, opened, stuck)))
    return found


def values(loop: CellLoop, call: Call, seed: int) -> dict[str, np.ndarray]:
    """The values of the gates at valid steps, each `(any, units)`.

    Those of a cell of keras_rnnx are what its `recurrent_activation` makes; one that is
    no sum of a gate has no name and is left out. Other cells but Keras' have none.
    """
    cell = loop.cell
    if getattr(cell, "recurrent_activation", None) not in SIGMOIDS:
        return {}
    places = np.argwhere(call.valid)
    if len(places) > MOST:
        chosen = np.random.default_rng(seed).permutation(len(places))[:MOST]
        places = places[chosen]
    steps, rows = places.T
    x = call.inputs[steps, rows]
    before = [state[steps, rows] for state in call.before]
    if isinstance(cell, Cell):
        return _of_cell(loop, x, before)
    made = {keras.layers.LSTMCell: _of_lstm, keras.layers.GRUCell: _of_gru}
    if type(cell) not in made:
        return {}
    found = made[type(cell)](cell, x, before[0])
    activation = cell.recurrent_activation
    return {
        gate: keras.ops.convert_to_numpy(activation(ops.convert_to_tensor(value)))
        for gate, value in found.items()
    }


def _of_cell(
    loop: CellLoop, x: np.ndarray, before: list[np.ndarray]
) -> dict[str, np.ndarray]:
    """One step of all of these, in which the activation of the gates is watched."""
    cell, seen, sums = loop.cell, [], {}
    activation, update = cell.recurrent_activation, cell.update

    def watched(value: Any) -> Any:
        result = activation(value)
        seen.append((value, result))
        return result

    def updated(state: Any, gate: Any, *vectors: Any) -> Any:
        sums.update({k: vars(gate)[k] for k in cell.gates if k in vars(gate)})
        return update(state, gate, *vectors)

    tensors = [ops.convert_to_tensor(a) for a in (x, *before)]
    with _put(cell, recurrent_activation=watched, update=updated), without_gradients():
        with loop.single(len(x)):
            loop.step(tensors[0], tensors[1:])
        return {
            gate: keras.ops.convert_to_numpy(result)
            for gate, total in sums.items()
            for value, result in seen
            if value is total
        }


@contextlib.contextmanager
def _put(cell: Cell, **attributes: Any) -> Iterator[None]:
    """Attributes in place of those of a cell, past Keras and its count of changes."""
    held: Any = vars(cell)
    before = {name: held[name] for name in attributes if name in held}
    held.update(attributes)
    try:
        yield
    finally:
        for name in attributes:
            del held[name]
        held.update(before)


def _array(variable: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable)


def _of_lstm(cell: Any, x: np.ndarray, h: np.ndarray) -> dict[str, np.ndarray]:
    total = x @ _array(cell.kernel) + h @ _array(cell.recurrent_kernel)
    if cell.use_bias:
        total = total + _array(cell.bias)
    blocks = dict(zip("ifco", np.split(total, 4, axis=-1)))
    return {gate: blocks[gate] for gate in "ifo"}


def _of_gru(cell: Any, x: np.ndarray, h: np.ndarray) -> dict[str, np.ndarray]:
    total = x @ _array(cell.kernel) + h @ _array(cell.recurrent_kernel)
    if cell.use_bias:
        bias = _array(cell.bias)
        total = total + (bias.sum(axis=0) if cell.reset_after else bias)
    blocks = dict(zip("zrh", np.split(total, 3, axis=-1)))
    return {gate: blocks[gate] for gate in "zr"}
