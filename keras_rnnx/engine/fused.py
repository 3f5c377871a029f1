"""The fused engine: everything that need not be in the loop is outside of it."""

from __future__ import annotations

from keras import ops

from keras_rnnx.engine import masks
from keras_rnnx.engine.eager import EagerRecurrence
from keras_rnnx.engine.projection import Projection
from keras_rnnx.engine.recurrence import Recurrence
from keras_rnnx.engine.segments import Segment, Segments, length
from keras_rnnx.engine.sequence import SequenceEngine


class FusedEngine(SequenceEngine):
    """Runs one cell over sequences in a loop with a backward pass of its own."""

    def _prefers_xla(self, sequences, training):
        batch, length = sequences.shape[:2]
        return self.backend.prefers_xla(batch, length, self.cell.units, training)

    def _function(self, return_sequences, zero_output_for_mask, training, xla):
        def run(tensors, vectors, states):
            shared = {
                k: v for k, v in tensors.items() if k not in ("sequences", "mask")
            }
            shared |= dict(zip(self._vector_names(), vectors))
            x = ops.transpose(tensors["sequences"], (1, 0, 2))
            mask = None
            if "mask" in tensors:
                mask = masks.time_major(tensors["mask"])
            if self.go_backwards:
                x = ops.flip(x, axis=0)
                mask = mask if mask is None else ops.flip(mask, axis=0)
            steps, keep = self._steps(x, training, xla)
            loop = Loop(self, return_sequences, training, xla, steps is None)
            if steps is None:
                outputs, states = loop(x, mask, states, shared)
            else:
                segments = Segments(loop, self.backend, steps, return_sequences, keep)
                outputs, states = segments(x, mask, states, shared)
            if not return_sequences:
                last = states[0]
                if mask is not None:
                    last = masks.mask_last(last, mask, zero_output_for_mask)
                return last, ops.expand_dims(last, 1), states
            if mask is not None:
                outputs = masks.mask_outputs(outputs, mask, zero_output_for_mask)
            return outputs[-1], ops.transpose(outputs, (1, 0, 2)), states

        return run

    def _steps(self, x, training, xla):
        """Steps of a segment, or None; and whether a segment keeps what it needs."""
        if training and self.checkpoint is not None:
            return self._checkpoint_steps(length(x)), False
        if training and all(isinstance(n, int) for n in x.shape[:2]):
            return self.backend.segment_steps(*x.shape[:2], self.cell.units, xla), True
        return None, True


class Loop(Segment):
    """The loop over a segment, or over a whole sequence when called.

    Args:
        engine: the engine.
        sequences: whether the output of every step is wanted.
        training: whether gradients will be taken.
        xla: whether the loop is compiled into one program.
        whole: whether there is one loop over the sequence.
    """

    def __init__(
        self,
        engine: FusedEngine,
        sequences: bool,
        training: bool,
        xla: bool,
        whole: bool,
    ):
        cell, backend = engine.cell, engine.backend
        self.cell = cell
        self.vectors = engine._vector_names()
        merged = backend.EAGER and not cell.late
        self.projection = Projection(cell, merged)
        if merged:
            self.recurrence = EagerRecurrence(cell, backend, sequences, training)
        else:
            self.recurrence = Recurrence(
                cell, backend, sequences, training, engine.unroll, xla, pieces=whole
            )
        self.kept = self.recurrence.kept

    def __call__(self, x, mask, states, shared):
        outputs, last = self.recurrence(
            length(x),
            **self._groups(x, mask, states, shared),
        )
        return outputs[0] if outputs else None, last

    def run(self, x, mask, states, shared, keep):
        given = self._groups(x, mask, states, shared)
        results, kept = self.recurrence.forward(length(x), given, keep)
        shown = results if self.recurrence.sequences else kept or [None]
        return shown[0], results[len(results) - len(states) :], kept[1:]

    def gradients(self, x, mask, states, shared, kept, cotangents):
        given = self._groups(x, mask, states, shared)
        if kept is None:
            _, residuals = self.recurrence.forward(length(x), given, keep=True)
        else:
            residuals = [kept[0], *kept[1]]
        outer, last = cotangents
        of_groups = self.recurrence.backward(
            length(x), given, residuals, [*([] if outer is None else [outer]), *last]
        )
        x = _dropped(x, shared)
        d_x, found = self.projection.gradients(x, shared, of_groups)
        found |= dict(zip(self.vectors, of_groups.get("v", [])))
        return _dropped(d_x, shared), of_groups["s"], found

    def _groups(self, x, mask, states, shared):
        return {
            **self.projection(_dropped(x, shared), shared),
            "v": [shared[name] for name in self.vectors],
            "s": states,
            "m": [] if mask is None else [mask],
            "d": [shared[k] for k in ("recurrent_mask",) if k in shared],
        }


def _dropped(x, shared):
    return x * shared["input_mask"] if "input_mask" in shared else x
