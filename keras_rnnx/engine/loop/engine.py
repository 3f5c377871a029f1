"""The fused engine: everything that need not be in the loop is outside of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_rnnx import _trees
from keras_rnnx.engine.loop.eager import EagerRecurrence
from keras_rnnx.engine.loop.forward import Recurrence
from keras_rnnx.engine.loop.inputs import GateInputs
from keras_rnnx.engine.loop.normalized.centered import CenteredInputs
from keras_rnnx.engine.loop.normalized.recurrence import NormalizedRecurrence
from keras_rnnx.engine.loop.segments import Segment, SegmentResults, Segments, length
from keras_rnnx.engine.loop.tensors import LoopResults, SequenceTensors
from keras_rnnx.engine.loop.time_loop import LoopOptions
from keras_rnnx.engine.sequence import CallOptions, SequenceEngine

# Elements of the states of all steps from which on memory counts: 8 MiB in float32.
LARGE = 2**21
USUAL_BATCH = 32


class FusedEngine(SequenceEngine):
    """Runs one cell over sequences in a loop with a backward pass of its own."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self._loops: dict[CallOptions, Loop] = {}

    def _options(self, sequences, return_sequences, zero_output_for_mask, training):
        options = super()._options(
            sequences, return_sequences, zero_output_for_mask, training
        )
        batch, steps = sequences.shape[:2]
        if training and options.segments is None and self._is_long(batch, steps):
            options = dataclasses.replace(options, segments="kept")
        if options.segments is None:
            gates = max(1, len(self.program.layout.product_gates))
            normalized = self.program.normalization is not None
            xla = self.backend.prefers_xla(
                batch, steps, self.program.units, gates, training, normalized
            )
        else:
            # A program for XLA needs the least memory, whatever the size of a step.
            xla = isinstance(steps, int)
        return dataclasses.replace(options, xla=xla)

    def _is_long(self, batch, steps):
        if self.unroll or not isinstance(steps, int) or steps < self.backend.LONG:
            return False
        normalization = self.program.normalization
        if normalization and normalization.notes_moments:
            return False
        batch = batch if isinstance(batch, int) else USUAL_BATCH
        return batch * steps * self.program.units >= LARGE

    def _make_loop(self, options: CallOptions) -> Loop:
        return Loop(self, options)

    def _states(self, given, options):
        if options not in self._loops:
            self._loops[options] = self._make_loop(options)
        loop = self._loops[options]
        if options.segments is not None:
            steps = self._segment_steps(length(given.sequences), options)
            run = Segments(loop, self.backend, steps, options.return_sequences)
            return run(given)
        given = time_major(given)
        noted: dict[str, Any] | None = {} if loop.recurrence.moments else None
        tensors = loop.inputs(given, noted)
        steps = length(given.sequences, axis=0)
        found = loop.recurrence(steps, tensors, loop.source(given))
        moments = found.moments
        if noted:
            normalization: Any = self.program.normalization
            (of_inputs,) = normalization.gathered(noted, ("inputs",))
            moments = {"inputs": of_inputs, **moments}
        outputs = found.outputs
        if outputs is not None:
            outputs = ops.transpose(outputs, (1, 0, 2))
        return LoopResults(outputs, moments, found.states)


def time_major(given: SequenceTensors) -> SequenceTensors:
    """The tensors of a call, with time before the batch."""

    def swap(tensor):
        return ops.transpose(tensor, (1, 0, 2))

    return dataclasses.replace(
        given,
        sequences=swap(given.sequences),
        by_step=_trees.mapped(swap, given.by_step),
    )


class Loop(Segment):
    """The loop over a whole sequence, or over a segment of it.

    Args:
        engine: the engine.
        options: how the call is computed.

    Attributes:
        inputs: what computes the input parts of the gates.
        recurrence: what computes the states from them.
    """

    def __init__(self, engine: FusedEngine, options: CallOptions):
        self.program, self.backend = engine.program, engine.backend
        self.loop_options = LoopOptions(
            sequences=options.return_sequences,
            keep=options.training,
            unroll=engine.unroll,
            xla=options.xla,
            pieces=options.segments is None,
            states_only=options.segments == "kept",
        )
        self.inputs, self.recurrence = self._parts()
        self._run: Callable = self._computed
        self._back: Callable = self._gradients
        if options.segments == "kept":
            kept = self.recurrence.kept
            self.kept = {k: v for k, v in kept.items() if k != "outputs"}
        if options.segments is not None and options.xla:
            compiled = self.backend.compiled_part
            self._run = _trees.over_trees(compiled, self._computed)
            self._back = _trees.over_trees(compiled, self._gradients)

    def _parts(self):
        """What computes the input parts of the gates, and what the states."""
        program, backend = self.program, self.backend
        if NormalizedRecurrence.takes(program):
            recurrence = NormalizedRecurrence(program, backend, self.loop_options)
            return CenteredInputs(program, backend), recurrence
        if backend.EAGER and EagerRecurrence.takes(program):
            options = self.loop_options
            recurrence = EagerRecurrence(
                program, backend, options.sequences, options.keep
            )
            return GateInputs(program, backend, merged=True), recurrence
        recurrence = Recurrence(program, backend, self.loop_options)
        return GateInputs(program, backend, merged=False), recurrence

    def run(self, given):
        return self._run(given)

    def gradients(self, given, kept, cotangents):
        return self._back(given, kept, cotangents)

    def _computed(self, given):
        keep = self.kept is not None
        found, kept = self.recurrence.forward(
            length(given.sequences, axis=0), self.inputs(given), keep
        )
        outputs = kept.pop("outputs") if keep else found.outputs
        return SegmentResults(outputs, found.states, kept)

    def _gradients(self, given, kept, cotangents):
        steps, tensors = length(given.sequences, axis=0), self.inputs(given)
        if kept is None:
            _, kept = self.recurrence.forward(steps, tensors, keep=True)
        of_loop = self.recurrence.backward(
            steps, tensors, kept, LoopResults(cotangents.outputs, {}, cotangents.states)
        )
        d_x, of_weights = self.inputs.gradients(given, of_loop)
        return dataclasses.replace(
            given,
            sequences=d_x,
            states=of_loop.states,
            weights=of_weights,
            vectors=of_loop.vectors,
            input_mask=None,
            whole=None,
            by_step=None,
        )

    def source(self, given: SequenceTensors) -> tuple[Callable, list[Any]]:
        """What makes the input parts of the gates, and its tensors."""
        names = [k for k in ("kernel", "bias") if k in given.weights]
        tensors = [given.sequences, *(given.weights[name] for name in names)]
        masked = given.input_mask is not None
        tensors += [given.input_mask] * masked

        def parts(tensors):
            x, *weights = tensors
            changed = dataclasses.replace(
                given,
                sequences=x,
                weights=given.weights | dict(zip(names, weights)),
                input_mask=tensors[-1] if masked else None,
            )
            return self.inputs(changed).inputs

        return parts, tensors
