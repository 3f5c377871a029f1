"""Runs all layers of a stack with gated feedback as one layer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx.layers.recurrent import RNN
from keras_rnnx.layers.stack.gated_feedback import GatedFeedbackCell


class FeedbackLevel(keras.layers.Layer):
    """A `GatedFeedbackCell` in Keras' loop, with dropout between its layers.

    Args:
        cells: the cell of each layer.
        drops: dropout of the inputs of each layer, a Keras layer or None.
        rnn_name: name of the `RNN` that runs the cells.
        always: whether dropout is on in inference too.
        loop: further arguments of `RNN`.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        cells: list[keras.layers.Layer],
        drops: list[keras.layers.Layer | None],
        rnn_name: str,
        always: bool,
        loop: dict[str, Any],
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        cell = GatedFeedbackCell(cells, dtype=self.dtype_policy)
        self.drops: list[Any]
        self.first_drop, *self.drops = drops
        self.always = always
        self.rnns = [
            RNN(cell, return_state=True, name=rnn_name, dtype=self.dtype_policy, **loop)
        ]

    @property
    def zero_output_for_mask(self) -> bool:
        """Whether the output of a masked step is zero."""
        return self.rnns[0].zero_output_for_mask

    @zero_output_for_mask.setter
    def zero_output_for_mask(self, value: bool) -> None:
        self.rnns[0].zero_output_for_mask = value

    @property
    def cell(self) -> GatedFeedbackCell:
        """The cell."""
        return self.rnns[0].cell

    @property
    def width(self) -> int:
        """Width of the outputs."""
        return self.cell.output_size

    @property
    def state_size(self) -> list[int]:
        """Sizes of the states, those of the first layer first."""
        return self.cell.by_layer(self.rnns[0].state_size)

    @property
    def states(self) -> list[Any] | None:
        """The states that are kept, in the same order, or None."""
        kept = self.rnns[0].states
        return None if kept is None else self.cell.by_layer(kept)

    def build(
        self, sequences_shape: tuple[int | None, ...], initial_state_shape: Any = None
    ) -> None:
        self.rnns[0].build(sequences_shape)
        self.built = True

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> tuple[Any, ...]:
        if self.first_drop is not None:
            sequences = self.first_drop(sequences, training=training)
        on = training or self.always
        if on and any(drop is not None for drop in self.drops):
            # Drawn before the loop and passed with the inputs: a compiled loop cannot
            # draw random numbers.
            shape = ops.shape(sequences)[:2]
            ones = [ops.ones((*shape, n), sequences.dtype) for n in self.cell.units]
            factors = [drop(one, training=True) for drop, one in zip(self.drops, ones)]
            sequences = ops.concatenate([sequences, *factors], axis=-1)
        if initial_state is not None:
            initial_state = self.cell.by_layer(initial_state)
        outputs, *states = self.rnns[0](
            sequences, initial_state=initial_state, mask=mask, training=training
        )
        return outputs, *self.cell.by_layer(states)

    def state_shapes(self, sequences_shape: tuple) -> list[tuple]:
        """Shapes of the states, in the order of `states`."""
        return [(sequences_shape[0], size) for size in self.state_size]

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None
