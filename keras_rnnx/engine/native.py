"""The kernel engine: a vendor's fused kernel runs the lowering of a cell.

On a GPU the kernel is cuDNN's (engine "cudnn"), on the CPU its kin in torch ("native").
"""

from __future__ import annotations

import dataclasses

from keras import ops

from keras_rnnx.cells.lowering import KERNELS, GateWeights, Weights
from keras_rnnx.engine import masks
from keras_rnnx.engine.packing import Packing
from keras_rnnx.engine.sequence import SequenceEngine

# Gates by the order of vendors, where it is not that of Keras.
ORDER = KERNELS | {"gru": ("r", "z", "h")}
# Far beyond a pre-activation. The gates that it shuts and opens, by kernel, so that a
# step changes nothing that is read later.
FAR = 1e4
IDLE = {"lstm": {"i": -FAR, "f": FAR}, "rnn_relu": {"h": -FAR}}


class KernelEngine(SequenceEngine):
    """Runs one cell over sequences on a vendor's kernel."""

    def _function(self, return_sequences, zero_output_for_mask, training, xla):
        lowering = self.cell.lowering()
        backend = self.backend

        def run(tensors, vectors, states):
            x = tensors["sequences"]
            if "input_mask" in tensors:
                x = x * ops.expand_dims(tensors["input_mask"], 1)
            x = ops.flip(x, axis=1) if self.go_backwards else x
            packing = self._packing(tensors)
            x = x if packing is None else packing.pack(x)
            weights = self._weights(tensors, vectors)
            gates = lowering.gates(weights)
            x = lowering.inputs(x, states, weights)
            if packing is not None and not backend.KERNELS_TAKE_LENGTHS:
                x, gates = _idle_behind(packing, x, gates, lowering.kernel)
            outputs, last = backend.run_kernel(
                lowering.kernel,
                x,
                lowering.states(states, weights),
                [gates[k] for k in ORDER[lowering.kernel]],
                None if packing is None else ops.maximum(packing.lengths, 1),
            )
            outputs = lowering.outputs(outputs, states, weights)
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

    def _packing(self, tensors):
        if "mask" not in tensors:
            return None
        mask = ops.reshape(tensors["mask"], ops.shape(tensors["mask"])[:2])
        return Packing(ops.flip(mask, axis=1) if self.go_backwards else mask)

    def _weights(self, tensors, vectors):
        cell = self.cell
        n = len(cell.gates)
        matrices = [
            ops.split(tensors[name], n, axis=1)
            for name in ("kernel", "recurrent_kernel")
        ]
        zeros = ops.zeros_like(tensors["recurrent_kernel"][0])
        bias, recurrent_bias = zeros, zeros
        if "bias" in tensors:
            bias = tensors["bias"]
            if cell.recurrent_bias:
                bias, recurrent_bias = bias[0], bias[1]
        parts = zip(*matrices, ops.split(bias, n), ops.split(recurrent_bias, n))
        gates = {k: GateWeights(*part) for k, part in zip(cell.gates, parts)}
        return Weights(gates, dict(zip(cell.vectors, vectors)))


def _idle_behind(packing, x, gates, kernel):
    """Gives the steps behind each row's last one an input that makes them idle.

    States that are not outputs (the cell state of an LSTM) are then the last ones at
    the end too, and no state can grow there without bound.
    """
    if kernel not in IDLE:
        return x, gates
    behind = ops.expand_dims(ops.cast(ops.logical_not(packing.valid), x.dtype), -1)
    gates = {
        name: dataclasses.replace(
            gate,
            kernel=ops.concatenate(
                [gate.kernel, IDLE[kernel].get(name, 0.0) + 0 * gate.bias[None]]
            ),
        )
        for name, gate in gates.items()
    }
    return ops.concatenate([x, behind], axis=-1), gates
