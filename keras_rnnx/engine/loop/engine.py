"""The fused engine: everything that need not be in the loop is outside of it."""

from __future__ import annotations

import dataclasses

from keras import ops

from keras_rnnx.cells._base.normalization.layer import NOTED
from keras_rnnx.engine.loop.eager import EagerRecurrence
from keras_rnnx.engine.loop.forward import Recurrence
from keras_rnnx.engine.loop.inputs import Projection
from keras_rnnx.engine.loop.normalized.centered import Centered
from keras_rnnx.engine.loop.normalized.recurrence import NormalizedRecurrence
from keras_rnnx.engine.loop.segments import NOISE, Segment, Segments, length
from keras_rnnx.engine.sequence import INPUTS, SequenceEngine, Way

# Elements of the states of all steps from which on memory counts: 8 MiB in float32.
LARGE = 2**21
USUAL_BATCH = 32


class FusedEngine(SequenceEngine):
    """Runs one cell over sequences in a loop with a backward pass of its own."""

    def _way(self, sequences, training):
        way = super()._way(sequences, training)
        batch, steps = sequences.shape[:2]
        units = self.cell.units
        if training and way.segments is None and self._is_long(batch, steps):
            way = dataclasses.replace(way, segments="kept")
        if way.segments is None:
            gates = max(1, len(self.cell.products))
            normalized = self.cell.normalization is not None
            xla = self.backend.prefers_xla(
                batch, steps, units, gates, training, normalized
            )
        else:
            # A program for XLA needs the least memory, whatever the size of a step.
            xla = isinstance(steps, int)
        return dataclasses.replace(way, xla=xla)

    def _is_long(self, batch, steps):
        if self.unroll or not isinstance(steps, int) or steps < self.backend.LONG:
            return False
        if self.cell.normalization and self.cell.normalization.notes_moments:
            return False
        batch = batch if isinstance(batch, int) else USUAL_BATCH
        return batch * steps * self.cell.units >= LARGE

    def _loop(self, return_sequences, way):
        return Loop(self, return_sequences, way)

    def _function(self, return_sequences, zero_output_for_mask, way):
        loop = self._loop(return_sequences, way)

        def states_after(x, by_step, states, shared):
            if way.segments is not None:
                steps = self._segment_steps(length(x), way)
                run = Segments(
                    loop,
                    self.backend,
                    steps,
                    return_sequences,
                    keep=way.segments == "kept",
                )
                return *run(x, by_step, states, shared), {}
            x = ops.transpose(x, (1, 0, 2))
            by_step = {k: ops.transpose(v, (1, 0, 2)) for k, v in by_step.items()}
            outputs, states, moments = loop(x, by_step, states, shared)
            if return_sequences:
                outputs = ops.transpose(outputs, (1, 0, 2))
            return outputs, states, moments

        return self._around(states_after, return_sequences, zero_output_for_mask)


class Loop(Segment):
    """The loop over a segment, or over a whole sequence when called.

    Args:
        engine: the engine.
        sequences: whether the output of every step is wanted.
        way: how the call is computed.
    """

    def __init__(self, engine: FusedEngine, sequences: bool, way: Way):
        cell, backend = engine.cell, engine.backend
        self.cell, self.engine = cell, engine
        self.vectors = engine._vector_names()
        # Those of the inputs are used up before the loop.
        inside = [k for k in way.noise if k not in ("inputs", "moving inputs")]
        self.by_step = [k for k in inside if k in cell.by_step]
        self.by_sequence = [k for k in inside if k in cell.noise.by_sequence]
        names = self.by_step, self.by_sequence
        self.projection = self._projection()
        self.recurrence = self._recurrence(sequences, way, names)
        self.kept = self.recurrence.kept
        self.kept_widths = self.recurrence.kept_widths
        if way.segments is not None and way.xla:
            self.run = backend.compiled_part(self.run)
            self.gradients = backend.compiled_part(self.gradients)

    def _merges(self):
        """Whether the gates stay side by side."""
        return self.engine.backend.EAGER and EagerRecurrence.takes(self.cell)

    def _projection(self):
        if NormalizedRecurrence.takes(self.cell):
            return Centered(self.cell, self.engine.backend)
        return Projection(self.cell, self._merges())

    def _recurrence(self, sequences, way, noise):
        given = self.cell, self.engine.backend, sequences, way.training
        if self._merges():
            return EagerRecurrence(*given, noise=noise)
        normalized = NormalizedRecurrence.takes(self.cell)
        kind = NormalizedRecurrence if normalized else Recurrence
        return kind(
            *given,
            self.engine.unroll,
            way.xla,
            pieces=way.segments is None,
            states_only=way.segments == "kept",
            noise=noise,
        )

    def __call__(self, x, by_step, states, shared):
        noted = {} if self.recurrence.moments else None
        outputs, last = self.recurrence(
            length(x, axis=0),
            self._source(x, shared),
            **self._groups(x, by_step, states, shared, noted),
        )
        shown = outputs.pop(0) if self.recurrence.sequences else None
        if not noted:
            return shown, last, {}
        normalization = self.cell.normalization
        found = normalization.gathered(noted, ("inputs",)) + outputs
        return shown, last, dict(zip(normalization.scopes, found))

    def run(self, x, by_step, states, shared, keep):
        given = self._groups(x, by_step, states, shared)
        results, kept = self.recurrence.forward(length(x, axis=0), given, keep)
        shown = results if self.recurrence.sequences else kept or [None]
        return shown[0], results[len(results) - len(states) :], kept[1:]

    def gradients(self, x, by_step, states, shared, kept, cotangents):
        given = self._groups(x, by_step, states, shared)
        if kept is None:
            _, kept = self.recurrence.forward(length(x, axis=0), given, keep=True)
        outer, last = cotangents
        of_groups = self.recurrence.backward(
            length(x, axis=0),
            given,
            kept,
            [*([] if outer is None else [outer]), *last],
        )
        x = _dropped(x, shared)
        d_x, found = self.projection.gradients(x, shared, of_groups)
        found |= dict(zip(self.vectors, of_groups.get("v", [])))
        return _dropped(d_x, shared), of_groups["s"], found

    def _source(self, x, shared):
        """What makes the inputs' part of the gates, and its tensors."""
        names = [k for k in (INPUTS, "kernel", "bias") if k in shared]

        def parts(tensors):
            x, *weights = tensors
            shared = dict(zip(names, weights))
            return self.projection(_dropped(x, shared), shared)["x"]

        return parts, [x, *(shared[name] for name in names)]

    def _groups(self, x, by_step, states, shared, noted=None):
        given = {"mask": by_step.get("mask"), NOTED: noted}
        given["moving inputs"] = by_step.get(NOISE + "moving inputs")
        return {
            **self.projection(_dropped(x, shared), shared, given),
            "v": [shared[name] for name in self.vectors],
            "s": states,
            "m": [by_step["mask"]] if "mask" in by_step else [],
            "n": [by_step[NOISE + name] for name in self.by_step],
            "d": [shared[NOISE + name] for name in self.by_sequence],
        }


def _dropped(x, shared):
    return x * shared[INPUTS] if INPUTS in shared else x
