"""The kernel engine: a vendor's fused kernel runs the lowering of a cell.

On a GPU the kernel is cuDNN's (engine "cudnn"), on the CPU its kin in torch ("native").
"""

from __future__ import annotations

import dataclasses

import keras
from keras import ops

from keras_rnnx.engine import _precision, costs
from keras_rnnx.engine.kernels import weights as kernel_weights
from keras_rnnx.engine.loop.eager import EagerRecurrence
from keras_rnnx.engine.loop.inputs import Projection
from keras_rnnx.engine.loop.segments import Recomputed, Segments, length
from keras_rnnx.engine.packing import Packing
from keras_rnnx.engine.sequence import INPUTS, SequenceEngine

# By kernel the gates to be shut (-1) and opened (1) so that a step changes nothing that
# is read later.
_LSTM = {"i": -1.0, "f": 1.0}
IDLE = {"lstm": _LSTM, "lstmp": _LSTM, "rnn_relu": {"h": -1.0}}


class KernelEngine(SequenceEngine):
    """Runs one cell over sequences on a vendor's kernel."""

    def _function(self, return_sequences, zero_output_for_mask, way):
        def states_after(x, by_step, states, shared):
            if way.segments is not None:
                run = Segments(
                    Recomputed(segment, self.backend),
                    self.backend,
                    self._segment_steps(length(x), way),
                    return_sequences,
                    keep=False,
                )
                return *run(x, by_step, states, shared), {}
            mask = by_step["mask"][..., 0] if by_step else None
            return *self._states(x, mask, states, shared, way.training), {}

        def segment(x, by_step, states, shared):
            x = ops.transpose(x, (1, 0, 2))
            mask = ops.transpose(by_step["mask"][..., 0]) if by_step else None
            outputs, last = self._states(x, mask, states, shared, way.training)
            return ops.transpose(outputs, (1, 0, 2)), last

        return self._around(states_after, return_sequences, zero_output_for_mask)

    def _states(self, x, mask, states, shared, training):
        """The first state after every step, `(batch, time, units)`, and the last ones.

        Args:
            x: inputs `(batch, time, features)`.
            mask: None, or boolean `(batch, time)`.
            states: initial states.
            shared: weights and vectors, by name.
            training: whether gradients will be taken.
        """
        # In eager code the derived backward pass can be faster than autodiff of a
        # kernel. It needs the states of all steps: the kernel gives the outputs.
        derived = (
            training
            and self.backend.EAGER
            and self.backend.kernels()[0] == "native"
            and len(states) == 1
            and EagerRecurrence.takes(self.cell)
            and costs.step_size(*states[0].shape[::-1]) < costs.DERIVED
        )
        vectors = [shared[name] for name in self._vector_names()]
        if INPUTS in shared:
            x = x * ops.expand_dims(shared[INPUTS], 1)
        packing = None if mask is None else Packing(mask)
        x = x if packing is None else packing.pack(x)
        lengths = None if packing is None else ops.maximum(packing.lengths, 1)
        run = self._derived if derived else self._run
        outputs, last = run(x, shared, vectors, states, packing, lengths)
        if packing is None:
            return outputs, [outputs[:, -1], *last[1:]]
        last = [
            packing.last(outputs, states[0]),
            *map(packing.keep_where_empty, last[1:], states[1:]),
        ]
        return packing.unpack(outputs, states[0]), last

    def _run(self, x, tensors, vectors, states, packing, lengths):
        """Outputs `(batch, time, units)` and last states of the kernel."""
        tensors = {k: _precision.cast(v, x) for k, v in tensors.items()}
        vectors = [_precision.cast(v, x) for v in vectors]
        lowering = self.cell.lowering()
        kernel = lowering.kernel
        takes = self.backend.KERNELS_TAKE_LENGTHS
        idle = packing is not None and not takes
        lengths = lengths if takes else None
        if kernel_weights.ready(self.cell) and not idle:
            weights = kernel_weights.own(self.cell, tensors)
            return self._call(kernel, x, states, weights, lengths)
        weights = kernel_weights.by_gate(self.cell, tensors, vectors)
        gates = lowering.gates(weights)
        x = lowering.inputs(x, states, weights)
        if idle:
            x, gates = _idle_behind(packing, x, gates, kernel)
        start = lowering.states(states, weights)
        weights_of_kernel = kernel_weights.in_order(kernel, gates)
        weights_of_kernel += kernel_weights.projection(tensors)
        outputs, last = self._call(kernel, x, start, weights_of_kernel, lengths)
        return lowering.outputs(outputs, states, weights), last

    def _call(self, kernel, x, states, weights, lengths):
        """One layer of the kernel."""
        states = [state[None] for state in states]
        outputs, last = self.backend.run_kernel(kernel, x, states, [weights], lengths)
        return outputs, [state[0] for state in last]

    def _derived(self, x, tensors, vectors, states, packing, lengths):
        """The same, with the backward pass derived from the cell's own equation."""
        x_major = ops.transpose(x, (1, 0, 2))

        def kernel():
            outputs, _ = self._run(x, tensors, vectors, states, packing, lengths)
            return ops.transpose(outputs, (1, 0, 2))

        recurrence = EagerRecurrence(self.cell, self.backend, True, kernel=kernel)
        (outputs,), last = recurrence(
            x_major.shape[0],
            **Projection(self.cell, merged=True)(x_major, tensors),
            v=vectors,
            s=states,
            m=[],
            n=[],
            d=[],
        )
        return ops.transpose(outputs, (1, 0, 2)), last


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
