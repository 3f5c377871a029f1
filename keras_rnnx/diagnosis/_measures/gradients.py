"""How far gradients reach back, and how large they and the updates are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_rnnx import layers as ours
from keras_rnnx._sublayers import walk
from keras_rnnx.callbacks.gradients import gradient_function, norm
from keras_rnnx.diagnosis._data import Batch
from keras_rnnx.diagnosis._derivatives import QUICKLY, Pullback, Tape
from keras_rnnx.diagnosis._objective import FIRST, LAST, WHOLE, Objective
from keras_rnnx.diagnosis._recording import Call, Recorder, as_arrays
from keras_rnnx.diagnosis._snapshot import variables
from keras_rnnx.diagnosis.measured import Gradients, Training, Update

# A gradient that has shrunk to this share of its largest norm has no effect on training
# beside the others.
REACH = 1e-3
# Norms below are no numbers that float32 can hold to a few digits.
LEAST = 1e-30

# Optimizers whose updates are about as large as their rate for each weight.
PER_WEIGHT = ("Adam", "AdamW", "Adamax", "Lion", "Nadam", "RMSprop")


# By part of the objective, for each call of a recurrent layer the gradients for its
# states, each `(time, batch, width)`.
ByCall = dict[str, list[list[np.ndarray]]]


class TapedRun:
    """A run of a model whose operations are noted, on a backend that has a `Tape`.

    Args:
        recorder: of the model.
        x: its inputs.

    Attributes:
        outputs: of the model.
        calls: of its recurrent layers, as arrays.
    """

    def __init__(self, recorder: Recorder, x: Any):
        self._tape = Tape()
        with self._tape.noting():
            self.outputs, tensors = recorder.run(x, mark=self._tape.mark)
        self.calls = [as_arrays(call) for call in tensors]

    def gradients(self, objective: Objective) -> tuple[float, ByCall]:
        """The value of the objective, and the gradients for the states."""
        with self._tape.noting():
            values = objective.values(self.outputs)
        found = {
            part: self._by_call(self._tape.gradients(value))
            for part, value in zip(objective.parts, values)
        }
        return float(keras.ops.convert_to_numpy(values[0])), found

    def _by_call(self, gradients: list[Any]) -> list[list[np.ndarray]]:
        rest, grouped = iter(gradients), []
        for call in self.calls:
            count = len(call.states)
            steps = [[next(rest) for _ in range(count)] for _ in call.inputs]
            grouped.append([_stacked(tensors) for tensors in zip(*steps)])
        return grouped


def _stacked(tensors: Sequence[Any]) -> np.ndarray:
    array = keras.ops.convert_to_numpy(keras.ops.stack(tensors))
    return array.astype("float32") if array.dtype.itemsize < 4 else array


def by_call(
    recorder: Recorder, x: Any, calls: list[Call], objective: Objective
) -> ByCall:
    """The gradients for the states behind each step.

    Args:
        recorder: of the model.
        x: its inputs.
        calls: its calls with these inputs, as arrays.
        objective: what is differentiated.
    """
    return StateGradients(recorder, x, calls, objective)()[-1]


class StateGradients:
    """The same as a function, which reads the weights in each call.

    Args:
        recorder, x, calls, objective: as for `by_call`.
    """

    def __init__(
        self, recorder: Recorder, x: Any, calls: list[Call], objective: Objective
    ):
        self._recorder, self._x = recorder, x
        self._calls, self._objective = calls, objective
        shapes = [state.shape for call in calls for state in call.states]
        self._deltas = [np.zeros(shape, "float32") for shape in shapes]
        self._counts = [len(call.states) for call in calls]
        self._sets: np.ndarray = np.eye(len(objective.parts), dtype="float32")
        self._pull = Pullback(self._values_and_calls, variables(recorder.model))

    def __call__(self) -> tuple[float, list[Call], ByCall]:
        """The objective, the calls with the weights as they are, and the gradients."""
        if Tape.works():
            run = TapedRun(self._recorder, self._x)
            value, gradients = run.gradients(self._objective)
            return value, run.calls, gradients
        outputs, found = self._pull(self._deltas, list(self._sets))
        rest = iter(outputs[len(self._sets) :])
        calls = [
            dataclasses.replace(
                call,
                inputs=next(rest),
                first=[next(rest) for _ in call.first],
                states=[next(rest) for _ in call.states],
            )
            for call in self._calls
        ]
        parts = self._objective.parts
        by_part = {p: _grouped(each, self._counts) for p, each in zip(parts, found)}
        return float(outputs[0]), calls, by_part

    def _values_and_calls(self, deltas: list[Any]) -> list[Any]:
        outputs, calls = self._recorder.run(self._x, _grouped(deltas, self._counts))
        read = [t for call in calls for t in (call.inputs, *call.first, *call.states)]
        return [*self._objective.values(outputs), *read]


def _grouped(flat: list[Any], counts: list[int]) -> list[list[Any]]:
    ends = np.cumsum(counts)
    return [flat[end - count : end] for end, count in zip(ends, counts)]


def measure(
    layer: keras.layers.RNN,
    calls: list[Call],
    found: ByCall,
) -> Gradients:
    """The measure of one layer.

    Args:
        layer: the layer.
        calls: all calls of the model.
        found: what `by_call` returned.
    """
    own = [k for k, call in enumerate(calls) if call.layer is layer]
    whole = _over_calls(own, calls, found[WHOLE])
    part = FIRST if layer.go_backwards else LAST
    if part not in found:
        return Gradients(whole, None, factor(whole), horizon(whole))
    norms = _over_calls(own, calls, found[part])
    return Gradients(norms, whole, factor(norms), horizon(norms))


def _over_calls(
    own: list[int], calls: list[Call], gradients: list[list[np.ndarray]]
) -> np.ndarray:
    pairs = [by_lag(gradients[k], calls[k].valid) for k in own]
    lags = max(len(counts) for _, counts in pairs)
    sums, counts = np.zeros(lags), np.zeros(lags)
    for total, count in pairs:
        sums[: len(total)] += total
        counts[: len(count)] += count
    return sums / counts


def by_lag(
    gradients: list[np.ndarray], valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sums over sequences of norms, by steps before the last valid one.

    Args:
        gradients: for the states behind each step, each `(time, batch, width)`.
        valid: boolean `(time, batch)`.

    Returns:
        For each lag the sum of the norms, and the number of sequences that have it.
    """
    squares = sum(
        np.square(g.astype("float64")).reshape(*valid.shape, -1).sum(axis=-1)
        for g in gradients
    )
    later = np.cumsum(valid[::-1], axis=0)[::-1] - 1
    lags = max(1, int(later.max()) + 1)
    sums, counts = np.zeros(lags), np.zeros(lags)
    np.add.at(sums, later[valid], np.sqrt(squares)[valid])
    np.add.at(counts, later[valid], 1)
    return sums, np.maximum(counts, 1)


def factor(norms: np.ndarray) -> float | None:
    """By which factor norms change with each lag, fitted on their logarithm."""
    lags = np.flatnonzero(np.isfinite(norms) & (norms > LEAST))
    if len(lags) < 2:
        return None
    slope = np.polyfit(lags, np.log(norms[lags]), 1)[0]
    return float(np.exp(slope))


def horizon(norms: np.ndarray) -> int | None:
    """The first lag behind the largest norm from which on all are a thousandth of it,
    or None."""
    top = int(np.argmax(norms))
    reached = np.flatnonzero(~(norms < REACH * norms[top]))
    first = max(top, int(reached[-1]) if len(reached) else 0) + 1
    return first if norms[top] > 0 and first < len(norms) else None


# --- updates ---


def of_batches(model: keras.Model, batches: list[Batch]) -> list[list[Any]]:
    """The gradients of each batch for the trainable variables."""
    # Layers of keras_rnnx keep what TensorFlow compiles for them, a function of the
    # whole model would be compiled in each diagnosis.
    kinds = [layer for _, layer in walk(model) if isinstance(layer, keras.layers.RNN)]
    compute = gradient_function(
        model,
        often=len(batches) > 1,
        eager=all(isinstance(layer, ours.RNN) for layer in kinds),
        options=QUICKLY,
    )
    return [compute(batch.parts) for batch in batches]


def training(model: keras.Model, found: list[list[Any]]) -> Training:
    """Norms of these gradients, beside the clipping of the optimizer."""
    each = [[norm([g]) for g in gradients if g is not None] for gradients in found]
    norms = np.array([norm([row]) for row in each])
    optimizer = _inner(model.optimizer)
    kinds = ("clipnorm", "global_clipnorm", "clipvalue")
    limits: dict[str, Any] = {k: getattr(optimizer, k, None) for k in kinds}
    kind = next((kind for kind in kinds if limits[kind]), None)
    clipped = limit = None
    if kind is not None:
        limit = float(limits[kind])
        sizes = {
            "clipnorm": [max(row, default=0.0) for row in each],
            "global_clipnorm": norms,
            "clipvalue": [
                max((float(np.max(np.abs(g))) for g in row if g is not None), default=0)
                for row in found
            ],
        }[kind]
        clipped = float(np.mean(np.asarray(sizes) > limit))
    one_in_ten = float(np.quantile(norms, 0.9))
    return Training(norms, kind, limit, clipped, one_in_ten)


def update(
    model: keras.Model, layer: keras.Layer, found: list[list[Any]]
) -> Update | None:
    """How large an update of a layer is beside its matrices.

    Biases are left out, since they start at zero. For SGD it is the rate times the
    gradient, and with momentum what these sum up to; for Adam and its kin the rate for
    each weight.
    """
    own = {id(v) for v in matrices(layer)}
    at = [k for k, v in enumerate(model.trainable_variables) if id(v) in own]
    if not at:
        return None
    values = [keras.ops.convert_to_numpy(model.trainable_variables[k]) for k in at]
    weights = norm(values)
    norms = [norm(row[k] for k in at if row[k] is not None) for row in found]
    gradient = float(np.mean(norms))
    optimizer, ratio = _inner(model.optimizer), None
    size = _step_size(optimizer, gradient, sum(v.size for v in values))
    if size is not None and weights > 0:
        ratio = float(size / weights)
    return Update(weights, gradient, ratio)


def matrices(layer: keras.Layer) -> list[keras.Variable]:
    """The matrices of a layer that are trained; the bias of a GRU has two rows."""
    found = layer.trainable_variables
    return [v for v in found if len(v.shape) > 1 and "bias" not in v.name]


def rate(optimizer: Any) -> float:
    """The learning rate at this moment."""
    return float(optimizer.learning_rate)


def has_schedule(optimizer: Any) -> bool:
    """Whether the rate changes by itself, so that it may be small for a while."""
    return not isinstance(optimizer.get_config().get("learning_rate"), (int, float))


def _step_size(optimizer: Any, gradient: float, count: int) -> float | None:
    name = type(optimizer).__name__
    if name == "SGD":
        return rate(optimizer) * gradient / (1 - float(optimizer.momentum or 0.0))
    if name in PER_WEIGHT:
        return rate(optimizer) * np.sqrt(count)
    return None


def _inner(optimizer: Any) -> Any:
    """The optimizer inside of those that go around another."""
    while getattr(optimizer, "inner_optimizer", None) is not None:
        optimizer = optimizer.inner_optimizer
    return optimizer


inner_optimizer = _inner
