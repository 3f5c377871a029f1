"""The report on training that diverged."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_rnnx import _random, _states
from keras_rnnx._sublayers import children, path, walk
from keras_rnnx.callbacks.gradients import batch_gradients, forward, norm
from keras_rnnx.inspection.table import Table


class LayerNorms(NamedTuple):
    """The norms of a layer in the batch at which training diverged.

    Attributes:
        layer: its path in the model.
        output: the largest absolute value of its outputs; None if unknown.
        weights: the Euclidean norm of its own trainable weights before the batch.
        gradient: the Euclidean norm of their gradients.
    """

    layer: str
    output: float | None
    weights: float | None
    gradient: float | None


@dataclasses.dataclass(frozen=True)
class DivergenceReport:
    """Where and how training diverged.

    Attributes:
        epoch: the epoch, from 0.
        batch: the batch in it, from 0, as callbacks count.
        loss: the loss of the batch.
        reason: why the batch counts as diverged.
        inputs: number of values in the batch that are not finite, in inputs, targets
            and sample weights together; None if the data was not watched.
        layers: a table of `LayerNorms`, from the inputs to the outputs.
        index: number of the batch in the data set, from 0: `fit` shuffles batches with
            its default `shuffle=True`. None if the data was not watched.
    """

    epoch: int
    batch: int
    loss: float
    reason: str
    inputs: int | None
    layers: Table
    index: int | None = None

    def __str__(self) -> str:
        parts = [
            f"Training diverged in epoch {self.epoch}, batch {self.batch} (both from "
            f"0): {self.reason}."
        ]
        if self.index not in (None, self.batch):
            parts.append(f"In the order of the data it is batch {self.index}.")
        if self.inputs is None:
            parts.append("Pass guard.watch(data) to fit to see inputs and gradients.")
        elif self.inputs:
            parts.append(
                f"{self.inputs} values in the data of the batch are NaN or inf."
            )
        bad = [row for row in self.layers if not _finite(row.output)]
        if bad:
            parts.append(f"The first outputs that are not finite: {bad[0].layer!r}.")
        bad = [row for row in self.layers if not _finite(row.gradient)]
        if bad:
            parts.append(
                "In the backward pass, the first gradient that is not finite: "
                f"{bad[-1].layer!r}."
            )
        else:
            measured = [row for row in self.layers if row.gradient is not None]
            if measured:
                top = max(measured, key=lambda row: row.gradient)
                parts.append(
                    f"The largest gradient: {top.layer!r}, with norm {top.gradient:g}."
                )
        return " ".join(parts) + f"\n{self.layers}"


def layer_norms(model: keras.Model, batch: Any = None) -> Table:
    """A table of `LayerNorms`, without gradients and outputs if there is no batch.

    States and random seeds of the model advance.
    """
    gradients, outputs = {}, {}
    if batch is not None:
        moving = [*model.non_trainable_variables, *_states.variables(model)]
        before = [np.array(keras.ops.convert_to_numpy(v)) for v in moving]
        random = _random.get_state()
        outputs = _outputs(model, batch)
        _random.set_state(random)
        for variable, value in zip(moving, before):
            variable.assign(value)
        values_of_gradients = batch_gradients(model, batch)
        gradients = {
            id(v): g for v, g in zip(model.trainable_variables, values_of_gradients)
        }
    rows = []
    for owners, layer in walk(model):
        inner = {id(v) for child in children(layer) for v in child.trainable_variables}
        weights = [v for v in layer.trainable_variables if id(v) not in inner]
        of_weights = [g for v in weights if (g := gradients.get(id(v))) is not None]
        values = [keras.ops.convert_to_numpy(v) for v in weights]
        row = LayerNorms(
            path(owners, layer) or layer.name,
            outputs.get(str(id(layer))),
            _norm(values),
            _norm(of_weights),
        )
        if any(value is not None for value in row[1:]):
            rows.append(row)
    return Table(rows)


def _outputs(model: keras.Model, batch: Any) -> dict[str, float]:
    """The largest outputs of the layers of a functional model, by `str(id())`."""
    tensors = {}
    for layer in model.layers if getattr(model, "inputs", None) else []:
        try:
            tensors[str(id(layer))] = layer.output
        except (AttributeError, ValueError):
            # A layer that is called more than once has no single output.
            continue
    if not tensors:
        return {}
    x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    values = forward(keras.Model(inputs, tensors), x)
    return {key: _largest(value) for key, value in values.items()}


def _largest(tensors: Any) -> float:
    arrays = map(keras.ops.convert_to_numpy, keras.tree.flatten(tensors))
    return _short(max(float(np.max(np.abs(a.astype("float64")))) for a in arrays))


def _norm(arrays: list[np.ndarray]) -> float | None:
    return _short(norm(arrays)) if arrays else None


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _finite(value: float | None) -> bool:
    return value is None or np.isfinite(value)
