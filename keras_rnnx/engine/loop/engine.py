"""The fused engine: a loop over time that contains only what depends on the state."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells._base.normalization import BatchNormalization
from keras_rnnx.engine.backends.protocol import (
    Batch,
    Length,
    Tensor,
    Tensors,
    Tree,
)
from keras_rnnx.engine.loop.differentiable import Differentiable, Source
from keras_rnnx.engine.loop.eager import EagerRecurrence
from keras_rnnx.engine.loop.forward import Recurrence
from keras_rnnx.engine.loop.inputs import GateInputs
from keras_rnnx.engine.loop.normalized.centered import CenteredInputs
from keras_rnnx.engine.loop.normalized.recurrence import NormalizedRecurrence
from keras_rnnx.engine.loop.segments import Segment, SegmentResults, Segments, length
from keras_rnnx.engine.loop.tensors import (
    NO_GRADIENT,
    LoopResults,
    LoopTensors,
    SequenceTensors,
)
from keras_rnnx.engine.loop.time_loop import LoopOptions
from keras_rnnx.engine.sequence import CallOptions, SequenceEngine

# From so many elements of the states of all steps on, memory matters: 8 MiB in float32.
LARGE = 2**21
USUAL_BATCH = 32


class FusedEngine(SequenceEngine):
    """Runs one cell over sequences in a loop with a derived backward pass."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self._loops: dict[CallOptions, Loop] = {}

    def _options(
        self,
        sequences: Tensor,
        return_sequences: bool,
        zero_output_for_mask: bool,
        training: bool,
    ) -> CallOptions:
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
            # An XLA program needs the least memory, for any size of a step.
            xla = isinstance(steps, int)
        return dataclasses.replace(options, xla=xla)

    def _is_long(self, batch: Batch, steps: Length) -> bool:
        if self.unroll or not isinstance(steps, int) or steps < self.backend.LONG:
            return False
        normalization = self.program.normalization
        if normalization and normalization.notes_moments:
            return False
        batch = batch if isinstance(batch, int) else USUAL_BATCH
        return batch * steps * self.program.units >= LARGE

    def _make_loop(self, options: CallOptions) -> Loop:
        return Loop(self, options)

    def _states(self, tensors: SequenceTensors, options: CallOptions) -> LoopResults:
        if options not in self._loops:
            self._loops[options] = self._make_loop(options)
        loop = self._loops[options]
        if options.segments is not None:
            steps = self._segment_steps(length(tensors.sequences), options)
            run = Segments(loop, self.backend, steps, options.return_sequences)
            return run(tensors)
        tensors = time_major(tensors)
        noted: dict[str, Tree] | None = {} if loop.recurrence.moments else None
        loop_tensors = loop.inputs(tensors, noted)
        steps = length(tensors.sequences, axis=0)
        results = loop.recurrence(steps, loop_tensors, loop.source(tensors))
        moments = results.moments
        if noted:
            normalization = self.program.normalization
            assert isinstance(normalization, BatchNormalization)
            (of_inputs,) = normalization.gathered(noted, ("inputs",))
            moments = {"inputs": of_inputs, **moments}
        outputs = results.outputs
        if outputs is not None:
            outputs = ops.transpose(outputs, (1, 0, 2))
        return LoopResults(outputs, moments, results.states)


def time_major(tensors: SequenceTensors) -> SequenceTensors:
    """The tensors of a call, with time before the batch."""

    def swap(tensor: Tensor) -> Tensor:
        return ops.transpose(tensor, (1, 0, 2))

    return dataclasses.replace(
        tensors,
        sequences=swap(tensors.sequences),
        by_step=_trees.mapped(swap, tensors.by_step),
    )


class Loop(Segment):
    """The loop over a whole sequence, or over a segment of it.

    Args:
        engine: the engine.
        options: how the call is computed.

    Attributes:
        inputs: computes the input parts of the gates.
        recurrence: computes the states from them.
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

    def _parts(self) -> tuple[GateInputs | CenteredInputs, Differentiable]:
        """The objects that compute the input parts of the gates, and the states."""
        program, backend = self.program, self.backend
        recurrence: Differentiable
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

    def run(self, tensors: SequenceTensors) -> SegmentResults:
        return self._run(tensors)

    def gradients(
        self, tensors: SequenceTensors, kept: Tree, cotangents: SegmentResults
    ) -> SequenceTensors:
        return self._back(tensors, kept, cotangents)

    def _computed(self, tensors: SequenceTensors) -> SegmentResults:
        keep = self.kept is not None
        results, kept = self.recurrence.forward(
            length(tensors.sequences, axis=0), self.inputs(tensors), keep
        )
        outputs = kept.pop("outputs") if keep else results.outputs
        return SegmentResults(outputs, results.states, kept)

    def _gradients(
        self, tensors: SequenceTensors, kept: Tree, cotangents: SegmentResults
    ) -> SequenceTensors:
        steps, loop_tensors = length(tensors.sequences, axis=0), self.inputs(tensors)
        if kept is None:
            _, kept = self.recurrence.forward(steps, loop_tensors, keep=True)
        of_loop = self.recurrence.backward(
            steps,
            loop_tensors,
            kept,
            LoopResults(cotangents.outputs, {}, cotangents.states),
        )
        d_x, of_weights = self.inputs.gradients(tensors, of_loop)
        return dataclasses.replace(
            tensors,
            sequences=d_x,
            states=of_loop.states,
            weights=of_weights,
            vectors=of_loop.vectors,
            input_mask=None,
            whole=NO_GRADIENT,
            by_step=NO_GRADIENT,
        )

    def source(self, tensors: SequenceTensors) -> Source:
        """A function that makes the input parts of the gates, and its tensors."""
        names = [k for k in ("kernel", "bias") if k in tensors.weights]
        leaves = [tensors.sequences, *(tensors.weights[name] for name in names)]
        masked = tensors.input_mask is not None
        leaves += [tensors.input_mask] * masked

        def parts(leaves: Tensors) -> dict[str, Tensor]:
            weights = leaves[1 : 1 + len(names)]
            changed = dataclasses.replace(
                tensors,
                sequences=leaves[0],
                weights=tensors.weights | dict(zip(names, weights, strict=True)),
                input_mask=leaves[-1] if masked else None,
            )
            loop_tensors = self.inputs(changed)
            assert isinstance(loop_tensors, LoopTensors)
            return loop_tensors.inputs

        return parts, leaves
