"""The layers of a stack in one call of a vendor's kernel, where that is exact."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx.engine.plan import Plan
from keras_rnnx.engine.stacked import StackedKernel
from keras_rnnx.engine.stacked_plan import plan_at_once


class AtOnce:
    """All layers of a stack in one call.

    Args:
        stack: the `Stack`, whose levels are made.
    """

    def __init__(self, stack: Any):
        self.stack = stack
        self._engine = None

    def plan(
        self, training: bool = True, batch: int | None = None, masked: bool = False
    ) -> Plan | str:
        """The plan of the call, or why there is a call for each layer.

        Args:
            training: whether for training. Default True.
            batch: number of sequences, where it is known. Default: not known.
            masked: whether there is a mask. Default False.
        """
        stack = self.stack
        return plan_at_once(
            [level.rnns for level in stack.levels],
            training,
            batch,
            masked,
            wants_states=self._wants_states,
            refused=self._refusal(training),
        )

    @property
    def _wants_states(self):
        return self.stack.return_state or self.stack.stateful

    def _refusal(self, training):
        """What stands between the layers that no kernel has, or None."""
        stack = self.stack
        if stack.gated_feedback:
            return "gated_feedback=True steps all layers together"
        if stack.connection is not None:
            return f"connection={stack.connection!r} goes around every layer"
        if stack.depth == 1:
            return None
        if (training or stack.monte_carlo) and stack.dropout:
            return (
                f"dropout={stack.dropout} draws masks between the layers, and a kernel "
                f"would draw others than the seed says"
            )
        if stack.bidirectional and stack.merge_mode != "concat":
            return (
                f"merge_mode={stack.merge_mode!r} merges the two directions between "
                f"the layers, where a kernel concatenates them"
            )
        return None

    def __call__(
        self, sequences: Any, initial_state: Any, mask: Any, training: Any
    ) -> tuple[Any, list[Any]]:
        """Runs the layers. The arguments are those of a call of the stack.

        Returns:
            Outputs and last states.
        """
        stack = self.stack
        rows = [[rnn.cell for rnn in level.rnns] for level in stack.levels]
        if self._engine is None or self._engine.rows != rows:
            self._engine = StackedKernel(rows)
        first, last = stack.levels[0], stack.levels[-1]
        if first.drop is not None:
            sequences = first.drop(sequences, training=training)
        batch, steps = ops.shape(sequences)[:2]
        states = self._first_states(initial_state, batch, training)
        noise = [
            rnn.cell.noise.draw(batch, steps) if rnn.cell.noise.on(training) else {}
            for rnn in stack.layers
        ]
        outputs, states = self._engine(
            sequences,
            states,
            None if mask is None else keras.tree.flatten(mask)[0],
            noise,
            return_sequences=stack.return_sequences,
            zero_output_for_mask=last.zero_output_for_mask,
            wants_states=self._wants_states,
        )
        if stack.stateful:
            for rnn, own in zip(stack.layers, states):
                for kept, state in zip(keras.tree.flatten(rnn.states), own):
                    kept.assign(ops.cast(state, kept.dtype))
        states = [state for own in states for state in own]
        return last.merged(outputs), states

    def _first_states(self, initial_state, batch, training):
        """For each layer its initial states."""
        found, given = [], initial_state and list(initial_state)
        for rnn in self.stack.layers:
            if given is None:
                found.append(list(rnn.first_states(batch, training)))
            else:
                count = len(rnn.state_size)
                found.append(given[:count])
                given = given[count:]
        return found
