"""The fused engine: everything that need not be in the loop is outside of it."""

from __future__ import annotations

import functools

from keras import ops

from keras_rnnx.engine import masks
from keras_rnnx.engine.eager import EagerRecurrence, project_all
from keras_rnnx.engine.recurrence import Recurrence
from keras_rnnx.engine.sequence import SequenceEngine


class FusedEngine(SequenceEngine):
    """Runs one cell over sequences in a loop with a backward pass of its own."""

    def _prefers_xla(self, sequences, training):
        batch, length = sequences.shape[:2]
        return self.backend.prefers_xla(batch, length, self.cell.units, training)

    def _function(self, return_sequences, zero_output_for_mask, training, xla):
        eager = self.backend.EAGER and not self.cell.late
        if eager:
            recurrence = EagerRecurrence(
                self.cell, self.backend, sequences=return_sequences, keep=training
            )
            project = functools.partial(project_all, self.cell)
        else:
            recurrence = Recurrence(
                self.cell,
                self.backend,
                sequences=return_sequences,
                unroll=self.unroll,
                keep=training,
                xla=xla,
            )
            project = self._project

        def run(tensors, vectors, states):
            x = ops.transpose(tensors["sequences"], (1, 0, 2))
            mask = None
            if "mask" in tensors:
                mask = masks.time_major(tensors["mask"])
            if self.go_backwards:
                x = ops.flip(x, axis=0)
                mask = mask if mask is None else ops.flip(mask, axis=0)
            if "input_mask" in tensors:
                x = x * tensors["input_mask"]
            length = x.shape[0] if isinstance(x.shape[0], int) else ops.shape(x)[0]
            outputs, states = recurrence(
                length,
                **project(x, tensors),
                v=vectors,
                s=states,
                m=[] if mask is None else [mask],
                d=[tensors[k] for k in ("recurrent_mask",) if k in tensors],
            )
            if not return_sequences:
                last = states[0]
                if mask is not None:
                    last = masks.mask_last(last, mask, zero_output_for_mask)
                return last, ops.expand_dims(last, 1), states
            outputs = outputs[0]
            if mask is not None:
                outputs = masks.mask_outputs(outputs, mask, zero_output_for_mask)
            return outputs[-1], ops.transpose(outputs, (1, 0, 2)), states

        return run

    def _project(self, x, tensors):
        """Input parts of all gates at all steps, and the blocks of the weights."""
        cell = self.cell
        n = len(cell.gates)
        # A product per gate costs no more than one for all and needs no copies to
        # take the gates apart, here and in the loop.
        kernels = ops.split(tensors["kernel"], n, axis=1)
        flat = ops.reshape(x, (-1, x.shape[-1]))
        biases, recurrent_biases = [None] * n, []
        if "bias" in tensors:
            bias = tensors["bias"]
            if cell.recurrent_bias:
                biases, recurrent_biases = self._both_biases(bias)
            else:
                biases = ops.split(bias, n)
        shape = (*ops.shape(x)[:2], cell.units)
        parts = []
        for kernel, bias in zip(kernels, biases):
            part = flat @ kernel
            part = part if bias is None else part + bias
            parts.append(ops.reshape(part, shape))
        return {
            "x": parts,
            "r": ops.split(tensors["recurrent_kernel"], n, axis=1),
            "b": recurrent_biases,
        }

    def _both_biases(self, bias):
        """Adds the recurrent bias to that of the input where the parts are summed."""
        cell = self.cell
        apart = (*cell.split, *cell.late)
        n = len(cell.gates)
        inputs, recurrent = ops.split(bias[0], n), ops.split(bias[1], n)
        sums = [
            i if gate in apart else i + r
            for gate, i, r in zip(cell.gates, inputs, recurrent)
        ]
        return sums, [r for gate, r in zip(cell.gates, recurrent) if gate in apart]
