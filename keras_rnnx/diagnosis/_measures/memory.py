"""How long a layer remembers, and whether the model uses its past."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.diagnosis._data import Batch
from keras_rnnx.diagnosis._derivatives import compiled
from keras_rnnx.diagnosis._loop import CellLoop
from keras_rnnx.diagnosis._objective import Objective
from keras_rnnx.diagnosis._recording import Call, forward
from keras_rnnx.diagnosis._snapshot import variables
from keras_rnnx.diagnosis.measured import Memory, Past

# A change of the first state of which less is left is forgotten.
FORGOTTEN = 1e-3
# Standard deviation of that change: small beside states, and far above rounding.
CHANGE = 0.1
# Sequences on which it is followed.
SEQUENCES = 16


def measure(model: keras.Model, loop: CellLoop, call: Call, seed: int) -> Memory | None:
    """How much of a change of the first state is left behind each step.

    Args:
        model: the model.
        loop: of the layer.
        call: a call of it, as arrays.
        seed: of the change.

    Returns:
        The measure; None for a layer whose states are no free numbers, or that draws
        other masks in each run.
    """
    rows = np.argsort(-call.lengths, kind="stable")[:SEQUENCES]
    free = _free(loop.cell, len(call.first))
    if loop.draws or not any(free):
        return None
    random = np.random.default_rng(seed)
    first = [
        (s[rows] + CHANGE * random.normal(size=s[rows].shape) * f).astype(s.dtype)
        for s, f in zip(call.first, free)
    ]
    inputs, valid = call.inputs[:, rows], call.valid[:, rows]
    masked = not valid.all()

    def run(x: Any, shown: Any, *states: Any) -> list[Any]:
        return loop.run(x, list(states), shown if masked else None).states

    arrays = [ops.convert_to_tensor(a) for a in (inputs, valid[..., None], *first)]
    changed = compiled(run, variables(model))(*arrays)
    start = _distance(first, [s[rows] for s in call.first])
    distances = _distance(changed, [s[:, rows] for s in call.states])
    return of_decay(distances / start, valid)


def of_decay(left: np.ndarray, valid: np.ndarray) -> Memory:
    """The measure from what is left of a change, `(time, batch)`, and valid steps."""
    order = np.cumsum(valid, axis=0) - 1
    steps = int(order.max()) + 1
    sums, counts = np.zeros(steps), np.zeros(steps)
    np.add.at(sums, order[valid], left[valid])
    np.add.at(counts, order[valid], 1)
    decay = sums / counts
    kept = np.flatnonzero(~(decay < FORGOTTEN))
    forgotten = int(kept[-1]) + 2 if len(kept) else 1
    return Memory(decay, forgotten if forgotten <= steps else None)


def _distance(a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
    squares = sum(
        np.square(np.asarray(x, "float64") - np.asarray(y, "float64")).sum(axis=-1)
        for x, y in zip(a, b)
    )
    return np.sqrt(squares)


def _free(cell: Any, count: int) -> list[bool]:
    """Which states can start anywhere: no counts, no windows of inputs."""
    if not isinstance(cell, Cell):
        return [True] * count
    return [k in cell.states and k not in cell.state_kinds for k in cell.state_names]


# --- the past of the model ---


def past(
    model: keras.Model, batch: Batch, objective: Objective, call: Call, seed: int
) -> Past | str:
    """What the loss is without the inputs before the last half of the steps.

    Args:
        model: the model.
        batch: its data.
        objective: the loss.
        call: the first call of a recurrent layer, as arrays.
        seed: of the exchange.

    Returns:
        The measure, or why there is none.
    """
    if not objective.uses_loss:
        return objective.instead or ""
    valid = call.valid[::-1] if call.layer.go_backwards else call.valid
    valid = np.ascontiguousarray(valid.T)
    lengths = valid.sum(axis=1)
    kept = int(np.median(lengths)) // 2
    if batch.size < 2 or kept < 1:
        return "it takes two sequences of two steps or more"
    leaves = keras.tree.flatten(batch.x)
    if not any(_has_steps(a, valid) for a in leaves):
        return "no input has the steps of the first recurrent layer"
    weights = batch.weights
    if objective.answers_steps:
        shown = objective.valid
        if shown is None or not _weighs_steps(model, batch, shown):
            return "the loss does not weigh steps one by one"
        weights = _of_last(shown, kept, weights)
    order = np.random.default_rng(seed).permutation(batch.size)
    # One circle, so that none keeps its own.
    others = np.empty_like(order)
    others[order] = np.roll(order, 1)
    mixed = exchanged(batch.x, valid, kept, others)
    turned = batch.rows(others).y

    def run(*arrays: Any) -> tuple[Any, Any]:
        x = keras.tree.pack_sequence_as(batch.x, list(arrays))
        outputs = forward(model, x)
        own = objective.value(outputs, weights=weights)
        return own, objective.value(outputs, y=turned, weights=weights)

    call_model = compiled(run, variables(model))
    loss, unrelated = call_model(*leaves)
    without, _ = call_model(*keras.tree.flatten(mixed))
    return Past(kept, float(loss), float(without), float(unrelated))


def exchanged(x: Any, valid: np.ndarray, kept: int, others: np.ndarray) -> Any:
    """Inputs whose valid steps but the last `kept` come from other sequences.

    Args:
        x: inputs, a structure of arrays.
        valid: `(batch, time)`.
        kept: number of steps at the end that stay.
        others: for each sequence the one that its past comes from. Where that one is
            shorter it is begun again.
    """

    def mix(array: np.ndarray) -> np.ndarray:
        if not _has_steps(array, valid):
            return array
        made = array.copy()
        for row, other in enumerate(others):
            to = np.flatnonzero(valid[row])[: max(0, valid[row].sum() - kept)]
            source = np.flatnonzero(valid[other])
            if len(source):
                made[row, to] = array[other, np.resize(source, len(to))]
        return made

    return keras.tree.map_structure(mix, x)


def _has_steps(array: np.ndarray, valid: np.ndarray) -> bool:
    return array.ndim > 1 and array.shape[:2] == valid.shape


def _weighs_steps(model: keras.Model, batch: Batch, valid: np.ndarray) -> bool:
    """Whether the loss has a value for each step, to be weighed."""
    if keras.tree.is_nested(batch.y):
        return False
    loss = model.loss
    named = isinstance(loss, str) or type(loss).__module__.startswith("keras.")
    fits = batch.y.ndim > 1 and batch.y.shape[:2] == valid.shape
    return named and fits and type(loss).__name__ != "CTC" and loss != "ctc"


def _of_last(valid: np.ndarray, kept: int, weights: Any) -> np.ndarray:
    """Weights of the last steps alone."""
    later = np.cumsum(valid[:, ::-1], axis=1)[:, ::-1]
    shown = (valid & (later <= kept)).astype("float32")
    if weights is None:
        return shown
    weights = np.asarray(weights, "float32")
    return shown * weights.reshape(*weights.shape[:2], *[1] * (2 - weights.ndim))
