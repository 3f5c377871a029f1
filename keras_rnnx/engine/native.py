"""The kernel engine: a vendor's fused kernel runs the lowering of a cell.

On a GPU the kernel is cuDNN's (engine "cudnn"), on the CPU its kin in torch ("native").
"""

from __future__ import annotations

import dataclasses

import keras
from keras import ops

from keras_rnnx.cells.lowering import (
    FIELDS,
    KERNELS,
    GateWeights,
    Weights,
)
from keras_rnnx.engine import costs, masks
from keras_rnnx.engine.eager import EagerRecurrence, project_all
from keras_rnnx.engine.packing import Packing
from keras_rnnx.engine.sequence import SequenceEngine

# Gates by the order of vendors, where it is not that of Keras.
ORDER = KERNELS | {"gru": ("r", "z", "h")}
# By kernel the gates to be shut (-1) and opened (1) so that a step changes nothing that
# is read later.
IDLE = {"lstm": {"i": -1.0, "f": 1.0}, "rnn_relu": {"h": -1.0}}


class KernelEngine(SequenceEngine):
    """Runs one cell over sequences on a vendor's kernel."""

    def _function(self, return_sequences, zero_output_for_mask, training, xla):
        def run(tensors, vectors, states):
            # In eager code the derived backward pass can be faster than autodiff of a
            # kernel. It needs the states of all steps: the kernel gives the outputs.
            derived = (
                training
                and self.backend.EAGER
                and self.backend.kernels()[0] == "native"
                and len(states) == 1
                and costs.step_size(*states[0].shape[::-1]) < costs.DERIVED
            )
            x = tensors["sequences"]
            if "input_mask" in tensors:
                x = x * ops.expand_dims(tensors["input_mask"], 1)
            x = ops.flip(x, axis=1) if self.go_backwards else x
            packing = self._packing(tensors)
            x = x if packing is None else packing.pack(x)
            lengths = None if packing is None else ops.maximum(packing.lengths, 1)
            if derived:
                outputs, last = self._derived(
                    x, tensors, vectors, states, packing, lengths
                )
            else:
                outputs, last = self._run(x, tensors, vectors, states, packing, lengths)
            if packing is None:
                last = [outputs[:, -1], *last[1:]]
                shown = outputs if return_sequences else outputs[:, -1:]
                return last[0], shown, last
            last = [
                packing.last(outputs, states[0]),
                *map(packing.keep_where_empty, last[1:], states[1:]),
            ]
            mask = masks.time_major(packing.mask)
            if not return_sequences:
                shown = masks.mask_last(last[0], mask, zero_output_for_mask)
                return shown, ops.expand_dims(shown, 1), last
            outputs = ops.transpose(packing.unpack(outputs, states[0]), (1, 0, 2))
            outputs = masks.mask_outputs(outputs, mask, zero_output_for_mask)
            return outputs[-1], ops.transpose(outputs, (1, 0, 2)), last

        return run

    def _run(self, x, tensors, vectors, states, packing, lengths):
        """Outputs `(batch, time, units)` and last states of the kernel."""
        lowering = self.cell.lowering()
        kernel = lowering.kernel
        idle = packing is not None and not self.backend.KERNELS_TAKE_LENGTHS
        if lowering.plain and self.cell.gates == ORDER[kernel] and not idle:
            # Nothing to take apart: the weights are the kernel's.
            return self.backend.run_kernel(
                kernel, x, states, self._merged(tensors), lengths
            )
        weights = self._weights(tensors, vectors)
        gates = lowering.gates(weights)
        x = lowering.inputs(x, states, weights)
        if idle:
            x, gates = _idle_behind(packing, x, gates, kernel)
        in_order = [gates[k] for k in ORDER[kernel]]
        merged = [
            ops.concatenate([getattr(gate, name) for gate in in_order], axis=-1)
            for name in FIELDS
        ]
        start = lowering.states(states, weights)
        outputs, last = self.backend.run_kernel(kernel, x, start, merged, lengths)
        return lowering.outputs(outputs, states, weights), last

    def _derived(self, x, tensors, vectors, states, packing, lengths):
        """The same, with the backward pass derived from the cell's own equation."""
        x_major = ops.transpose(x, (1, 0, 2))

        def kernel():
            outputs, _ = self._run(x, tensors, vectors, states, packing, lengths)
            return ops.transpose(outputs, (1, 0, 2))

        recurrence = EagerRecurrence(self.cell, self.backend, True, kernel=kernel)
        (outputs,), last = recurrence(
            x_major.shape[0],
            **project_all(self.cell, x_major, tensors),
            v=vectors,
            s=states,
            m=[],
            d=[],
        )
        return ops.transpose(outputs, (1, 0, 2)), last

    def _packing(self, tensors):
        if "mask" not in tensors:
            return None
        mask = ops.reshape(tensors["mask"], ops.shape(tensors["mask"])[:2])
        return Packing(ops.flip(mask, axis=1) if self.go_backwards else mask)

    def _merged(self, tensors):
        """Both kernels and both biases of the cell, zeros where it has none."""
        kernels = [tensors["kernel"], tensors["recurrent_kernel"]]
        zeros = ops.zeros_like(tensors["recurrent_kernel"][0])
        if "bias" not in tensors:
            return [*kernels, zeros, zeros]
        bias = tensors["bias"]
        if self.cell.recurrent_bias:
            return [*kernels, bias[0], bias[1]]
        return [*kernels, bias, zeros]

    def _weights(self, tensors, vectors):
        cell, n = self.cell, len(self.cell.gates)
        parts = [ops.split(tensor, n, axis=-1) for tensor in self._merged(tensors)]
        gates = {k: GateWeights(*part) for k, part in zip(cell.gates, zip(*parts))}
        return Weights(gates, dict(zip(cell.vectors, vectors)))


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
