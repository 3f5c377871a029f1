"""The kernel engine: a vendor's fused kernel runs the lowering of a cell.

On a GPU the kernel is cuDNN's (engine "cudnn"), on the CPU its kin in torch ("native").
"""

from __future__ import annotations

import dataclasses

import keras
from keras import ops

from keras_rnnx import _trees
from keras_rnnx.engine import _precision, costs
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
from keras_rnnx.engine.loop.tensors import LoopResults
from keras_rnnx.engine.packing import Packing
from keras_rnnx.engine.sequence import SequenceEngine

# By kernel the gates to be shut (-1) and opened (1) so that a step changes nothing that
# is read later.
_LSTM = {"i": -1.0, "f": 1.0}
IDLE = {"lstm": _LSTM, "lstmp": _LSTM, "rnn_relu": {"h": -1.0}}


class KernelEngine(SequenceEngine):
    """Runs one cell over sequences on a vendor's kernel."""

    def _states(self, given, options):
        if options.segments is None:
            outputs, states = self._kernel(given, options.training)
            return LoopResults(outputs, {}, states)

        def segment(given):
            # Its tensors have time first.
            outputs, states = self._kernel(time_major(given), options.training)
            return SegmentResults(ops.transpose(outputs, (1, 0, 2)), states)

        steps = self._segment_steps(length(given.sequences), options)
        run = Recomputed(segment, self.backend)
        return Segments(run, self.backend, steps, options.return_sequences)(given)

    def _kernel(self, given, training):
        """The first state after every step, `(batch, time, units)`, and the last ones.

        Args:
            given: the tensors, with the batch first.
            training: whether gradients will be taken.
        """
        states = given.states
        if given.input_mask is not None:
            x = given.sequences * ops.expand_dims(given.input_mask, 1)
            given = dataclasses.replace(given, sequences=x, input_mask=None)
        packing = lengths = None
        if given.by_step.valid is not None:
            packing = Packing(given.by_step.valid[..., 0])
            lengths = ops.maximum(packing.lengths, 1)
            x = packing.pack(given.sequences)
            given = dataclasses.replace(given, sequences=x)
        run = self._derived if self._derives(states, training) else self._run_kernel
        outputs, last = run(given, packing, lengths)
        first, *others = states
        if packing is None:
            return outputs, {**last, first: outputs[:, -1]}
        last = {first: packing.last(outputs, states[first])} | {
            k: packing.keep_where_empty(last[k], states[k]) for k in others
        }
        return packing.unpack(outputs, states[first]), last

    def _derives(self, states, training):
        """Whether the backward pass is derived from the cell's own equation.

        In eager code that can be faster than autodiff of a kernel. It needs the states
        of all steps: the kernel gives the outputs.
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

    def _run_kernel(self, given, packing, lengths):
        """Outputs `(batch, time, units)` and last states of the kernel."""
        program, x = self.program, given.sequences
        tensors = _trees.mapped(lambda v: _precision.cast(v, x), given.weights)
        states = list(given.states.values())
        lowering = program.lowering()
        kernel = lowering.kernel
        takes = self.backend.KERNELS_TAKE_LENGTHS
        idle = packing is not None and not takes
        lengths = lengths if takes else None
        if kernel_weights.ready(program) and not idle:
            own = kernel_weights.own(program, tensors)
            outputs, last = self._call(kernel, x, states, own, lengths)
            return outputs, dict(zip(given.states, last))
        vectors = _trees.mapped(lambda v: _precision.cast(v, x), given.vectors)
        weights = kernel_weights.by_gate(program, tensors, vectors)
        gates = lowering.gates(weights)
        x = lowering.inputs(x, states, weights)
        if idle:
            x, gates = _idle_behind(packing, x, gates, kernel)
        start = lowering.states(states, weights)
        weights_of_kernel = kernel_weights.in_order(kernel, gates)
        weights_of_kernel += kernel_weights.projection(tensors)
        outputs, last = self._call(kernel, x, start, weights_of_kernel, lengths)
        outputs = lowering.outputs(outputs, states, weights)
        return outputs, dict(zip(given.states, last))

    def _call(self, kernel, x, states, weights, lengths):
        """One layer of the kernel."""
        states = [state[None] for state in states]
        outputs, last = self.backend.run_kernel(kernel, x, states, [weights], lengths)
        return outputs, [state[0] for state in last]

    def _derived(self, given, packing, lengths):
        """The same, with the backward pass derived from the cell's own equation."""
        by_step = dataclasses.replace(given.by_step, valid=None)
        swapped = time_major(dataclasses.replace(given, by_step=by_step))

        def kernel():
            outputs, _ = self._run_kernel(given, packing, lengths)
            return ops.transpose(outputs, (1, 0, 2))

        recurrence = EagerRecurrence(self.program, self.backend, True, kernel=kernel)
        inputs = GateInputs(self.program, self.backend, merged=True)
        found = recurrence(swapped.sequences.shape[0], inputs(swapped))
        return ops.transpose(found.outputs, (1, 0, 2)), found.states


def _idle_behind(packing, x, gates, kernel):
    """Gives the steps behind each row's last one an input that makes them idle.

    States that are not outputs (the cell state of an LSTM) are then the last ones at
    the end too, and no state can grow there without bound.
    """
    if kernel not in IDLE:
        return x, gates
    # Far beyond a pre-activation, whose size has no limit after rectifiers.
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
