"""Layers for one step: of a recurrent layer, or of any other as it is."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.layers import AdaptiveSoftmax, MaskPadding, Stack
from keras_rnnx.layers.stack.feedback_level import FeedbackLevel
from keras_rnnx.layers.stack.level import Level

# Layers that treat each step by itself, whatever their arguments.
STEPWISE = (
    keras.layers.Dense,
    keras.layers.Embedding,
    keras.layers.TimeDistributed,
    keras.layers.Masking,
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.ELU,
    keras.layers.ActivityRegularization,
    keras.layers.Identity,
    keras.layers.Rescaling,
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Add,
    keras.layers.Subtract,
    keras.layers.Multiply,
    keras.layers.Average,
    keras.layers.Maximum,
    keras.layers.Minimum,
    keras.layers.InputLayer,
    AdaptiveSoftmax,
    MaskPadding,
)
# Layers that do so unless their `axis` is that of time.
BY_AXIS = (
    keras.layers.LayerNormalization,
    keras.layers.BatchNormalization,
    keras.layers.UnitNormalization,
    keras.layers.RMSNormalization,
    keras.layers.Normalization,
    keras.layers.Softmax,
    keras.layers.Concatenate,
)
RECURRENT = (keras.layers.RNN, Stack)


class Recurrent(keras.layers.Layer):
    """One step of a recurrent layer or a stack.

    Args:
        layer: the layer, which keeps its weights.
        masked: whether its inputs have a mask. If not, no mask is read.

    Call arguments:
        sequences: `(batch, 1, features)`.
        states: those of `initial_states`.
        sequences_mask: `(batch, 1)` or None.

    Returns:
        What the layer returns, and the states behind the step.
    """

    def __init__(self, layer: keras.Layer, masked: bool):
        # Its name is its own: a layer may be called several times.
        super().__init__(dtype=layer.dtype_policy)
        self.layer = layer
        self.masked = masked
        # Keras may pass a mask; `masked` alone says whether a step reads it.
        self.supports_masking = True

    def initial_states(self, batch_size: int) -> list[Any]:
        """The states before the first step, in one list, in the order of the layer.

        With a mask the last one is the output of the last valid step, which masked
        steps repeat.
        """
        if isinstance(self.layer, Stack):
            states = []
            for level in self.layer.levels:
                (rnn,) = level.rnns
                first = keras.tree.flatten(rnn.get_initial_state(batch_size))
                states += _ordered(level, first)
        else:
            states = keras.tree.flatten(self.layer.get_initial_state(batch_size))
        if self.masked:
            states.append(ops.zeros((batch_size, self.width), self.compute_dtype))
        return states

    @property
    def width(self) -> int:
        """Width of the outputs."""
        stack = isinstance(self.layer, Stack)
        return self.layer.output_size if stack else self.layer.cell.output_size

    def compute_output_spec(
        self, sequences: Any, states: list[Any], sequences_mask: Any = None
    ) -> tuple[Any, list[keras.KerasTensor]]:
        shape: tuple[Any, ...] = (sequences.shape[0], 1, self.width)
        if not self.layer.return_sequences:
            shape = (sequences.shape[0], self.width)
        left = [keras.KerasTensor(s.shape, s.dtype) for s in states]
        output = keras.KerasTensor(shape, self.compute_dtype)
        if self.layer.return_state:
            shown = int(self.masked)
            return [output, *left[: len(left) - shown]], left
        return output, left

    def call(
        self, sequences: Any, states: Sequence[Any], sequences_mask: Any = None
    ) -> tuple[Any, list[Any]]:
        layer, mask = self.layer, sequences_mask if self.masked else None
        states, shown = list(states), None
        if self.masked:
            shown = states.pop()
        output, new = self._step(sequences, states)
        output = ops.cast(output, self.compute_dtype)
        if mask is not None:
            valid = ops.cast(mask, "bool")[:, :1]
            new = [ops.where(valid, n, o) for n, o in zip(new, states)]
            zero = layer.zero_output_for_mask
            held = ops.where(valid, output, shown)
            output = ops.where(valid, output, ops.zeros_like(output)) if zero else held
            shown = held
        result = ops.expand_dims(output, 1) if layer.return_sequences else output
        if layer.return_state:
            result = [result, *new]
        return result, new + ([] if shown is None else [shown])

    def _step(self, sequences: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """The output `(batch, units)`, and the states of the layer."""
        if not isinstance(self.layer, Stack):
            return _advanced(self.layer, sequences[:, 0], states)
        left = []
        for level in self.layer.levels:
            (rnn,) = level.rnns
            count = len(keras.tree.flatten(rnn.state_size))
            own = _ordered(level, states[:count])
            inputs = level.read(sequences) if isinstance(level, Level) else sequences
            output, new = _advanced(rnn, inputs[:, 0], own)
            states = states[count:]
            left += _ordered(level, new)
            output = ops.expand_dims(output, 1)
            if isinstance(level, Level) and level.connection is not None:
                output = level.connected(sequences, output)
            sequences = output
        return sequences[:, 0], left

    def compute_mask(self, sequences: Any, mask: Any = None) -> list[Any]:
        return [mask if self.layer.return_sequences else None]


def _ordered(level: Level | FeedbackLevel, states: list[Any]) -> list[Any]:
    """Reorders states of a level: from the order of the stack to that of the layer that
    runs the level, and back."""
    feedback = isinstance(level, FeedbackLevel)
    return list(level.cell.by_layer(states)) if feedback else states


def _advanced(
    rnn: keras.layers.RNN, x: Any, states: list[Any]
) -> tuple[Any, list[Any]]:
    sizes = rnn.state_size
    nested = keras.tree.is_nested(sizes)
    states = keras.tree.pack_sequence_as(list(sizes) if nested else [sizes], states)
    output, new = rnn.cell(x, states, training=False)
    return output, keras.tree.flatten(new)


class Stepwise(keras.layers.Layer):
    """Any other layer, called as it is.

    It stands around the layer, so that the graph of the model does not change.
    """

    def __init__(self, layer: keras.Layer):
        # Its name is its own: a layer may be called several times.
        super().__init__(dtype=layer.dtype_policy)
        self.layer = layer
        self.supports_masking = True

    def call(self, inputs: Any, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
        if mask is not None and "mask" in inspect.signature(self.layer.call).parameters:
            kwargs["mask"] = mask
        return self.layer(inputs, *args, **kwargs)

    def compute_output_spec(
        self, inputs: Any, *args: Any, mask: Any = None, **kwargs: Any
    ) -> Any:
        return self.layer.compute_output_spec(inputs, *args, **kwargs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.layer.compute_mask(inputs, mask)


def refusal(layer: keras.Operation) -> str | None:
    """Why a layer cannot run one step of a sequence, or None.

    Args:
        layer: a layer, or an operation, that is called on a sequence.
    """
    if isinstance(layer, RECURRENT):
        return _recurrent_refusal(layer)
    if isinstance(layer, keras.layers.Bidirectional):
        return (
            "it reads the sequence from its end too, which is not there yet. Train a "
            "model that reads forward alone"
        )
    if isinstance(layer, BY_AXIS):
        axes = keras.tree.flatten(layer.axis)
        if any(axis is None or axis in (0, 1) for axis in axes):
            return f"it has axis={layer.axis}, and axis 1 is that of time"
        return None
    if isinstance(layer, keras.layers.PReLU):
        shared = layer.shared_axes or ()
        return None if 1 in shared else "it has weights for each step: shared_axes=[1]"
    if isinstance(layer, STEPWISE):
        return None
    if not isinstance(layer, keras.layers.Layer):
        return "it is an operation outside of a layer. Use the layer for it"
    return (
        "it reads other steps of the sequence, or is not known not to. If it treats "
        "each step by itself, put it into keras.layers.TimeDistributed"
    )


def _recurrent_refusal(layer: keras.Layer) -> str | None:
    if layer.go_backwards or getattr(layer, "bidirectional", False):
        return (
            "it reads the sequence from its end, which is not there yet. Train a model "
            "that reads forward alone"
        )
    inner = layer.layers if isinstance(layer, Stack) else [layer]
    cells = [
        cell for rnn in inner for cell in getattr(rnn.cell, "cells", None) or [rnn.cell]
    ]
    for cell in cells:
        if not isinstance(cell, Cell):
            continue
        if cell.monte_carlo:
            return "monte_carlo=True draws one mask for a whole sequence"
        if cell.normalization and cell.normalization.notes_moments:
            return "batch_norm=True has averages for each step, which is not counted"
    if getattr(layer, "monte_carlo", False):
        return "monte_carlo=True draws one mask for a whole sequence"
    return None
