"""What the engines share: the tensors of one call, and the compiled function."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.engine import backends


class SequenceEngine:
    """Runs one cell over sequences. A layer makes one and keeps it.

    Subclasses make the function that is compiled and called.

    Args:
        cell: the cell.
        go_backwards: whether to read the sequence from its end.
        unroll: whether to write the loop out.
        checkpoint: steps of a segment of which the first states alone are kept in
            training, True for about the square root of all steps, or None.
    """

    def __init__(
        self,
        cell: Cell,
        go_backwards: bool,
        unroll: bool,
        checkpoint: bool | int | None,
    ):
        self.cell = cell
        self.go_backwards = go_backwards
        self.unroll = unroll
        self.checkpoint = checkpoint
        self.backend = backends.current()
        self._compiled = {}

    def __call__(
        self,
        sequences: Any,
        states: list[Any],
        mask: Any,
        dropout_masks: tuple[Any, Any],
        return_sequences: bool,
        zero_output_for_mask: bool,
        training: bool,
    ) -> tuple[Any, Any, list[Any]]:
        """Runs the cell.

        Args:
            sequences: `(batch, time, features)`.
            states: initial states, each `(batch, units)`.
            mask: None, or boolean `(batch, time)`.
            dropout_masks: what `cell.draw_masks` returned.
            return_sequences: whether the output of every step is wanted.
            zero_output_for_mask: whether masked steps give zeros.
            training: whether gradients will be taken, as far as is known.

        Returns:
            Last output `(batch, units)`, outputs `(batch, time, units)` (of length 1
            without `return_sequences`), last states.
        """
        cell = self.cell
        tensors = {
            "sequences": sequences,
            "kernel": cell.kernel,
            "recurrent_kernel": cell.recurrent_kernel,
        }
        tensors = {k: _tensor(v, cell.compute_dtype) for k, v in tensors.items()}
        if cell.bias is not None:
            tensors["bias"] = _tensor(cell.bias, cell.compute_dtype)
        for name, value in zip(("input_mask", "recurrent_mask"), dropout_masks):
            if value is not None:
                tensors[name] = value
        if mask is not None:
            tensors["mask"] = ops.cast(mask, "bool")
        vectors = cell.coefficients() if cell.vectors else {}
        vectors = [_tensor(vectors[k], cell.compute_dtype) for k in cell.vectors]
        states = [_tensor(s, cell.compute_dtype) for s in states]
        xla = self._prefers_xla(sequences, training)
        key = (return_sequences, zero_output_for_mask, bool(training), xla)
        if key not in self._compiled:
            self._compiled[key] = self.backend.compiled(self._function(*key), xla)
        return self._compiled[key](tensors, vectors, states)

    def _prefers_xla(self, sequences, training):
        return False

    def _vector_names(self):
        """Their names among the tensors that all segments share."""
        return [f"vector {name}" for name in self.cell.vectors]

    def _checkpoint_steps(self, length):
        """Steps of a segment; `length` is a number or, where not known, a tensor."""
        known = isinstance(length, int)
        if self.checkpoint is not True:
            return min(self.checkpoint, length) if known else self.checkpoint
        if known:
            return math.isqrt(length - 1) + 1
        return ops.cast(ops.ceil(ops.sqrt(ops.cast(length, "float32"))), "int32")

    def _function(self, return_sequences, zero_output_for_mask, training, xla):
        """A function of tensors, vectors and states that returns what a call does."""
        raise NotImplementedError


def _tensor(value, dtype):
    return ops.cast(ops.convert_to_tensor(value), dtype)
