"""Turns any mask into right padding, since vendors' kernels take nothing else."""

from __future__ import annotations

from keras import ops

from keras_rnnx.engine import backends
from keras_rnnx.engine.backends.protocol import Tensor


class Packing:
    """Moves the valid steps of each row to its front, and outputs back.

    Args:
        mask: boolean, `(batch, time)`, of any pattern.

    Attributes:
        lengths: number of valid steps of each row, `(batch,)`.
        valid: whether a step is not padding after packing, `(batch, time)`.
    """

    def __init__(self, mask: Tensor):
        self.backend = backends.current()
        self.mask = mask
        self.counts = ops.cumsum(ops.cast(mask, "int32"), axis=1)
        self.lengths = self.counts[:, -1]
        steps = ops.expand_dims(ops.arange(ops.shape(mask)[1], dtype="int32"), 0)
        self.valid = steps < ops.expand_dims(self.lengths, 1)
        # Keys are distinct, so that any sort keeps the order of the steps.
        behind = steps + ops.shape(mask)[1]
        self.order = self.backend.argsort(self.backend.where(mask, steps, behind))

    def pack(self, sequences: Tensor) -> Tensor:
        """`(batch, time, features)` with the valid steps first, then zeros."""
        packed = self.backend.gather_steps(sequences, self.order)
        # Values in masked steps, such as NaN, are dropped.
        valid = ops.expand_dims(self.valid, -1)
        return self.backend.where(valid, packed, ops.zeros_like(packed))

    def unpack(self, outputs: Tensor, initial: Tensor) -> Tensor:
        """The state after each step of the original sequence.

        Args:
            outputs: states after each packed step, `(batch, time, units)`.
            initial: the state before the first step, `(batch, units)`.
        """
        index = ops.maximum(self.counts - 1, 0)
        states = self.backend.gather_steps(outputs, index)
        begun = ops.expand_dims(self.counts > 0, -1)
        return self.backend.where(begun, states, ops.expand_dims(initial, 1))

    def last(self, outputs: Tensor, initial: Tensor) -> Tensor:
        """The state after the last step, `(batch, units)`. Arguments as `unpack`."""
        index = ops.expand_dims(ops.maximum(self.lengths - 1, 0), 1)
        state = self.backend.gather_steps(outputs, index)[:, 0]
        return self.keep_where_empty(state, initial)

    def keep_where_empty(self, state: Tensor, initial: Tensor) -> Tensor:
        """`state`, with the initial state in rows without a valid step."""
        begun = ops.expand_dims(self.lengths > 0, 1)
        return self.backend.where(begun, state, initial)
