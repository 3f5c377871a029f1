"""What gradients are taken of: the loss, at all steps, at the last or at the first."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnx.diagnosis._data import Batch
from keras_rnnx.diagnosis._recording import Call

# The parts of a loss: all of it, and what reaches the outputs at one step.
WHOLE, LAST, FIRST = "whole", "last", "first"


class Objective:
    """The loss of a batch, or the mean square of the outputs in its place.

    Args:
        model: the model.
        batch: the batch.
        outputs: what the model makes of it.
        calls: the calls of its recurrent layers, as arrays.

    Attributes:
        uses_loss: whether it is the loss.
        instead: why it is not, or None.
        name: what it is, in words.
        parts: of `WHOLE`, `LAST` and `FIRST` those that are not the same.
    """

    def __init__(
        self, model: keras.Model, batch: Batch, outputs: Any, calls: list[Call]
    ):
        self._model, self._batch = model, batch
        self.instead = missing(model, batch)
        self.uses_loss = self.instead is None
        self.name = "the loss" if self.uses_loss else "the mean square of the outputs"
        shapes = [tuple(o.shape) for o in keras.tree.flatten(outputs)]
        self._valid = [_valid_steps(shape, calls) for shape in shapes]
        self.parts = [WHOLE]
        if self.answers_steps:
            self.parts += [LAST]
            if any(call.layer.go_backwards for call in calls):
                self.parts += [FIRST]

    @property
    def answers_steps(self) -> bool:
        """Whether the model has an output for each step."""
        return any(valid is not None for valid in self._valid)

    @property
    def valid(self) -> np.ndarray | None:
        """The valid steps of the only output, `(batch, time)`; None if it has no steps,
        or if there are several outputs."""
        return self._valid[0] if len(self._valid) == 1 else None

    def values(self, outputs: Any) -> list[Any]:
        """The value of each of `parts`: they are equal, their gradients are not.

        Args:
            outputs: of the model.
        """
        return [self.value(self._through(outputs, part)) for part in self.parts]

    def value(self, outputs: Any, y: Any = None, weights: Any = None) -> Any:
        """The value for some outputs.

        Args:
            outputs: of the model.
            y, weights: targets and weights in place of those of the batch.
        """
        if not self.uses_loss:
            tensors = keras.tree.flatten(outputs)
            return sum(ops.mean(ops.square(ops.cast(t, "float32"))) for t in tensors)
        batch = self._batch
        y = batch.y if y is None else y
        weights = batch.weights if weights is None else weights
        x, y, weights = keras.tree.map_structure(_tensor, (batch.x, y, weights))
        return ops.cast(
            self._model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weights),
            "float32",
        )

    def _through(self, outputs: Any, part: str) -> Any:
        """The outputs, with the way back open at some steps alone."""
        if part == WHOLE:
            return outputs
        flat = keras.tree.flatten(outputs)
        pairs = zip(flat, self._valid)
        opened = [o if v is None else _Gate(_only(v, part))(o) for o, v in pairs]
        return keras.tree.pack_sequence_as(outputs, opened)


class _Gate(keras.layers.Layer):
    """Outputs as they are, whose gradient passes at some steps alone.

    It is a layer since those hand on masks, which losses read.
    """

    def __init__(self, passes: np.ndarray):
        super().__init__(name="diagnosis_gate", autocast=False)
        self.supports_masking = True
        self._passes = passes

    def call(self, outputs: Any) -> Any:
        rank = len(outputs.shape)
        passes = self._passes.reshape(*self._passes.shape, *[1] * (rank - 2))
        passes = ops.convert_to_tensor(passes)
        return ops.where(passes, outputs, ops.stop_gradient(outputs))


def _tensor(value: Any) -> Any:
    return None if value is None else ops.convert_to_tensor(value)


def missing(model: keras.Model, batch: Batch) -> str | None:
    """Why there is no loss, or None if there is one."""
    if batch.y is None:
        return "there are no targets (`y`)"
    if not getattr(model, "compiled", False):
        return "the model is not compiled"
    own = type(model).compute_loss is not keras.Model.compute_loss
    if model.loss is None and not own:
        return "the model is compiled without a loss"
    return None


def _valid_steps(shape: tuple[int, ...], calls: list[Call]) -> np.ndarray | None:
    """The valid steps of an output, `(batch, time)`, or None if it has no steps."""
    if len(shape) < 3:
        return None
    for call in reversed(calls):
        steps, batch = call.valid.shape
        # The last layer that is called says whether there are steps at the end.
        if (batch, steps) == shape[:2] and calls[-1].layer.return_sequences:
            valid = call.valid[::-1] if call.layer.go_backwards else call.valid
            return np.ascontiguousarray(valid.T)
    return None


def _only(valid: np.ndarray, part: str) -> np.ndarray:
    """The last or the first valid step of each row."""
    steps = valid.shape[1]
    at = np.argmax(valid, axis=1)
    if part == LAST:
        at = steps - 1 - np.argmax(valid[:, ::-1], axis=1)
    return valid & (np.arange(steps) == at[:, None])
