"""Runs stacked layers in one call of a vendor's kernel, where that is exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import keras
from keras import ops

from keras_rnnx.cells._base.tensors import DrawnMasks
from keras_rnnx.engine.kernels.stack import StackedKernel
from keras_rnnx.engine.kernels.stack_plan import plan_at_once
from keras_rnnx.engine.plan import Plan

if TYPE_CHECKING:
    from keras_rnnx.layers.recurrent import RNN


class Rows(Protocol):
    """A layer of recurrent layers: a stack, or both directions of one layer."""

    return_sequences: bool
    return_state: bool
    stateful: bool

    @property
    def rows(self) -> list[list[RNN]]:
        """The recurrent layers from below: each row has one, or one per direction."""


class AtOnce:
    """Runs all recurrent layers of a layer in one call.

    Args:
        layer: the layer.
    """

    def __init__(self, layer: Rows):
        self.layer = layer
        self._engine: StackedKernel | None = None

    def plan(
        self,
        training: bool = True,
        batch: int | None = None,
        masked: bool = False,
        refused: str | None = None,
    ) -> Plan | str:
        """The plan of the call, or the reason for one call per recurrent layer.

        Args:
            training: whether to plan for training. Default True.
            batch: number of sequences, if known. Default: not known.
            masked: whether there is a mask. Default False.
            refused: why the layer itself cannot be one call. Default None.
        """
        return plan_at_once(
            self.layer.rows,
            training,
            batch,
            masked,
            wants_states=self._wants_states,
            refused=refused,
        )

    @property
    def _wants_states(self) -> bool:
        return self.layer.return_state or self.layer.stateful

    def __call__(
        self,
        sequences: Any,
        initial_state: Any,
        mask: Any,
        training: Any,
        zero_output_for_mask: bool,
    ) -> tuple[list[Any], list[Any]]:
        """Runs the layers.

        Args:
            sequences, initial_state, mask, training: as in a call of the layer.
            zero_output_for_mask: whether the output of a masked step is zero.

        Returns:
            The outputs of each direction, and the last states.
        """
        layer = self.layer
        rnns = [rnn for row in layer.rows for rnn in row]
        cells = [[rnn.cell for rnn in row] for row in layer.rows]
        if self._engine is None or self._engine.rows != cells:
            self._engine = StackedKernel(cells)
        batch, steps = ops.shape(sequences)[:2]
        states = _first_states(rnns, initial_state, batch, training)
        drawn = [
            masks.draw(batch, steps) if masks.on(training) else DrawnMasks()
            for masks in (rnn.cell.random_masks for rnn in rnns)
        ]
        outputs, states = self._engine(
            sequences,
            states,
            None if mask is None else keras.tree.flatten(mask)[0],
            drawn,
            return_sequences=layer.return_sequences,
            zero_output_for_mask=zero_output_for_mask,
            wants_states=self._wants_states,
        )
        if layer.stateful:
            for rnn, of_layer in zip(rnns, states):
                for kept, state in zip(keras.tree.flatten(rnn.states), of_layer):
                    kept.assign(ops.cast(state, kept.dtype))
        return outputs, [state for of_layer in states for state in of_layer]


def _first_states(
    rnns: list[RNN], initial_state: Any, batch: Any, training: bool
) -> list[list[Any]]:
    """The initial states of each layer."""
    if initial_state is None:
        return [list(rnn.first_states(batch, training)) for rnn in rnns]
    remaining = iter(initial_state)
    return [[next(remaining) for _ in rnn.state_size] for rnn in rnns]
