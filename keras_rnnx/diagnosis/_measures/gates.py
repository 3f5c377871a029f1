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
from keras_rnnx.diagnosis.measured import GateShares

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


def kept(cell: Any, gates: dict[str, GateShares]) -> float | None:
    """The share of its state that a cell keeps in a step, by the means of its gates.

    Args:
        cell: the cell.
        gates: what `shares` returned.

    Returns:
        The share; None where the gates that keep the state are not known.
    """
    signs = memory_gates(cell)
    if not signs or not set(signs) <= set(gates):
        return None
    keep = [gates[gate].mean for gate, sign in signs.items() if sign > 0]
    write = [gates[gate].mean for gate, sign in signs.items() if sign < 0]
    if getattr(cell, "gates_compete", False):
        return sum(keep) / max(sum(keep) + sum(write), 1e-30)
    found = keep or [1 - value for value in write]
    return float(np.mean(found))


def shares(
    loop: CellLoop, call: Call, found: dict[str, np.ndarray]
) -> dict[str, GateShares]:
    """How many of the values of each gate are near its ends.

    Args:
        loop: of the layer.
        call: a call of it, as arrays.
        found: what `values` returned.
    """
    length = max(1.0, float(np.median(call.lengths)))
    signs = memory_gates(loop.cell)
    shown = {}
    for gate, value in found.items():
        shut, opened = value < SHUT, value > OPEN
        sign = signs.get(gate, 0)
        stuck = shut | opened
        if sign:
            # The long memory of a gate that is open on purpose is none of it.
            keeps = 1 - value if sign > 0 else value
            stuck = keeps < 1 / (LENGTHS * length)
            stuck |= opened if sign < 0 else np.zeros_like(stuck)
        means = (float(np.mean(m)) for m in (shut, opened, stuck, value))
        shown[gate] = GateShares(*means)
    return shown


def by_unit(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """For each gate the shares of shut and of open values of each unit.

    Args:
        found: what `values` returned.

    Returns:
        `(2, units)` by gate.
    """
    return {
        gate: np.stack([np.mean(value < SHUT, axis=0), np.mean(value > OPEN, axis=0)])
        for gate, value in found.items()
    }


def values(loop: CellLoop, call: Call, seed: int) -> dict[str, np.ndarray]:
    """The values of the gates at valid steps, each `(any, units)`.

    Those of a cell of keras_rnnx are what its `recurrent_activation` makes of the sum
    of a gate, also with something added. Other cells but Keras' have none.
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
    """One step of all of these, in which the activation of the gates is watched.

    A value that it makes of something else than the sum of a gate, as of one with a
    peephole, is that of the gate whose sum moves what it is made of by as much.
    """
    cell = loop.cell
    seen: list[tuple[Any, Any]] = []
    found: dict[str, Any] = {}
    activation, update = cell.recurrent_activation, cell.update

    def watched(value: Any) -> Any:
        result = activation(value)
        seen.append((value, result))
        return result

    def updated(state: Any, gate: Any, *vectors: Any) -> Any:
        new = update(state, gate, *vectors)
        first, held = list(seen), vars(gate)
        for name in cell.gates:
            if name not in held:
                continue
            total = held[name]
            same = [result for value, result in first if value is total]
            if not same:
                seen.clear()
                held[name] = total + 1.0
                update(state, gate, *vectors)
                held[name] = total
                pairs = zip(first, seen)
                same = [result for (a, result), (b, _) in pairs if _moved(a, b)]
            if same:
                found[name] = same[0]
        return new

    tensors = [ops.convert_to_tensor(a) for a in (x, *before)]
    with _put(cell, recurrent_activation=watched, update=updated), without_gradients():
        with loop.single(len(x)):
            loop.step(tensors[0], tensors[1:])
        return {k: keras.ops.convert_to_numpy(v) for k, v in found.items()}


def _moved(before: Any, after: Any) -> bool:
    """Whether all of a tensor has moved by 1, up to rounding."""
    moved = _array(after) - _array(before)
    return bool(np.allclose(moved, 1.0, atol=1e-3))


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
