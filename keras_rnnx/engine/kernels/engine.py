"""The kernel engine: a vendor's fused kernel runs the lowering of a cell.

On a GPU the kernel is cuDNN's (engine "cudnn"), on the CPU torch's ("native").
"""

from __future__ import annotations

import dataclasses

import keras
from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells._lowering.spec import GateWeights
from keras_rnnx.engine import _precision, costs
from keras_rnnx.engine.backends.protocol import Tensor, Tensors
from keras_rnnx.engine.kernels import weights as kernel_weights
from keras_rnnx.engine.loop.eager import EagerRecurrence
from keras_rnnx.engine.loop.engine import time_major
from keras_rnnx.engine.loop.inputs import GateInputs
from keras_rnnx.engine.loop.segments import (
    Recomputed,
    SegmentResults,
    Segments,
    length,
)
from keras_rnnx.engine.loop.tensors import LoopResults, SequenceTensors
from keras_rnnx.engine.packing import Packing
from keras_rnnx.engine.sequence import CallOptions, SequenceEngine

# By kernel, the gates to shut (-1) and to open (1) so that a step changes nothing that
# is read later.
_LSTM = {"i": -1.0, "f": 1.0}
IDLE = {"lstm": _LSTM, "lstmp": _LSTM, "rnn_relu": {"h": -1.0}}


class KernelEngine(SequenceEngine):
    """Runs one cell over sequences on a vendor's kernel."""

    def _states(self, tensors: SequenceTensors, options: CallOptions) -> LoopResults:
        if options.segments is None:
            outputs, states = self._kernel(tensors, options.training)
            return LoopResults(outputs, {}, states)

        def segment(tensors: SequenceTensors) -> SegmentResults:
            # The tensors of a segment have time first.
            outputs, states = self._kernel(time_major(tensors), options.training)
            return SegmentResults(ops.transpose(outputs, (1, 0, 2)), states)

        steps = self._segment_steps(length(tensors.sequences), options)
        run = Recomputed(segment, self.backend)
        return Segments(run, self.backend, steps, options.return_sequences)(tensors)

    def _kernel(
        self, tensors: SequenceTensors, training: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The first state after every step, `(batch, time, units)`, and the last ones.

        Args:
            tensors: the tensors of the call, with the batch first.
            training: whether gradients will be taken.
        """
        states = tensors.states
        if tensors.input_mask is not None:
            x = tensors.sequences * ops.expand_dims(tensors.input_mask, 1)
            tensors = dataclasses.replace(tensors, sequences=x, input_mask=None)
        packing = lengths = None
        if tensors.by_step.valid is not None:
            packing = Packing(tensors.by_step.valid[..., 0])
            lengths = ops.maximum(packing.lengths, 1)
            x = packing.pack(tensors.sequences)
            tensors = dataclasses.replace(tensors, sequences=x)
        run = self._derived if self._derives(states, training) else self._run_kernel
        outputs, last = run(tensors, packing, lengths)
        first, *others = states
        if packing is None:
            return outputs, {**last, first: outputs[:, -1]}
        last = {first: packing.last(outputs, states[first])} | {
            k: packing.keep_where_empty(last[k], states[k]) for k in others
        }
        return packing.unpack(outputs, states[first]), last

    def _derives(self, states: dict[str, Tensor], training: bool) -> bool:
        """Whether to derive the backward pass from the cell's own equation.

        In eager code that can be faster than autodiff of a kernel. It needs the states
        of all steps, and the kernel returns only the outputs, so the cell must have a
        single state.
        """
        (state, *others) = states.values()
        return (
            training
            and self.backend.EAGER
            and self.backend.kernels()[0] == "native"
            and not others
            and EagerRecurrence.takes(self.program)
            and costs.step_size(*state.shape[::-1]) < costs.DERIVED
        )

    def _run_kernel(
        self,
        tensors: SequenceTensors,
        packing: Packing | None,
        lengths: Tensor | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Outputs `(batch, time, units)` and last states of the kernel."""
        program, x = self.program, tensors.sequences
        weights_by_name = _trees.mapped(
            lambda v: _precision.cast(v, x), tensors.weights
        )
        states = list(tensors.states.values())
        lowering = program.lowering()
        kernel = lowering.kernel
        takes = self.backend.KERNELS_TAKE_LENGTHS
        idle = packing is not None and not takes
        lengths = lengths if takes else None
        if kernel_weights.ready(program) and not idle:
            kernel_tensors = kernel_weights.own(program, weights_by_name)
            outputs, last = self._call(kernel, x, states, kernel_tensors, lengths)
            return outputs, dict(zip(tensors.states, last))
        vectors = _trees.mapped(lambda v: _precision.cast(v, x), tensors.vectors)
        weights = kernel_weights.by_gate(program, weights_by_name, vectors)
        gates = lowering.gates(weights)
        x = lowering.inputs(x, states, weights)
        if idle:
            assert packing is not None
            x, gates = _idle_behind(packing, x, gates, kernel)
        start = lowering.states(states, weights)
        weights_of_kernel = kernel_weights.in_order(kernel, gates)
        weights_of_kernel += kernel_weights.projection(weights_by_name)
        outputs, last = self._call(kernel, x, start, weights_of_kernel, lengths)
        outputs = lowering.outputs(outputs, states, weights)
        return outputs, dict(zip(tensors.states, last))

    def _call(
        self,
        kernel: str,
        x: Tensor,
        states: Tensors,
        weights: Tensors,
        lengths: Tensor | None,
    ) -> tuple[Tensor, Tensors]:
        """One layer of the kernel."""
        states = [state[None] for state in states]
        outputs, last = self.backend.run_kernel(kernel, x, states, [weights], lengths)
        return outputs, [state[0] for state in last]

    def _derived(
        self,
        tensors: SequenceTensors,
        packing: Packing | None,
        lengths: Tensor | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """`_run_kernel` with a backward pass derived from the cell's own equation."""
        by_step = dataclasses.replace(tensors.by_step, valid=None)
        swapped = time_major(dataclasses.replace(tensors, by_step=by_step))

        def kernel() -> Tensor:
            outputs, _ = self._run_kernel(tensors, packing, lengths)
            return ops.transpose(outputs, (1, 0, 2))

        recurrence = EagerRecurrence(self.program, self.backend, True, kernel=kernel)
        inputs = GateInputs(self.program, self.backend, merged=True)
        results = recurrence(swapped.sequences.shape[0], inputs(swapped))
        return ops.transpose(results.outputs, (1, 0, 2)), results.states


def _idle_behind(
    packing: Packing, x: Tensor, gates: dict[str, GateWeights], kernel: str
) -> tuple[Tensor, dict[str, GateWeights]]:
    """Adds an input that makes the steps after the end of each row idle.

    States that are not outputs (the cell state of an LSTM) then keep their last values
    up to the end, and no state can grow without bound there.
    """
    if kernel not in IDLE:
        return x, gates
    # Far larger than any pre-activation, whose size is not limited after rectifiers.
    dtype = keras.backend.standardize_dtype(x.dtype)
    far = 6e4 if dtype == "float16" else 1e30
    behind = ops.expand_dims(ops.cast(ops.logical_not(packing.valid), dtype), -1)
    gates = {
        name: dataclasses.replace(
            gate,
            kernel=ops.concatenate(
                [gate.kernel, far * IDLE[kernel].get(name, 0.0) + 0 * gate.bias[None]]
            ),
        )
        for name, gate in gates.items()
    }
    return ops.concatenate([x, behind], axis=-1), gates
