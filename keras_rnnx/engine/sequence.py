"""What the engines share: the tensors of one call, and the compiled function."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.engine import _precision, backends, masks
from keras_rnnx.engine.loop.segments import NOISE
from keras_rnnx.engine.windows import windows

INPUTS = f"{NOISE}inputs"
# Into how many segments a sequence goes whose segments keep what they need.
SEGMENTS = 16


@dataclasses.dataclass(frozen=True)
class Way:
    """How a call is computed.

    Attributes:
        training: whether gradients will be taken, as far as is known.
        noise: names of the masks that are drawn, as in `cells.noise.Noise`.
        xla: whether the loop is compiled by XLA.
        segments: None; or how the sequence is run in segments: "kept" (what their
            gradients need is kept) or "repeated" (it is computed again).
    """

    training: bool
    noise: tuple[str, ...] = ()
    xla: bool = False
    segments: str | None = None


class SequenceEngine:
    """Runs one cell over sequences. A layer makes one and keeps it.

    Subclasses make the function that is compiled and called.

    Args:
        cell: the cell.
        go_backwards: whether to read the sequence from its end.
        unroll: whether to write the loop out.
        checkpoint: steps of a segment of which the first states alone are kept in
            training, True for about the square root of all steps, or None.
    """

    def __init__(
        self,
        cell: Cell,
        go_backwards: bool,
        unroll: bool,
        checkpoint: bool | int | None,
    ):
        self.cell = cell
        self.go_backwards = go_backwards
        self.unroll = unroll
        self.checkpoint = checkpoint
        self.backend = backends.current()
        self._compiled = {}

    def __call__(
        self,
        sequences: Any,
        states: list[Any],
        mask: Any,
        noise: dict[str, Any],
        return_sequences: bool,
        zero_output_for_mask: bool,
        training: bool,
    ) -> tuple[Any, Any, list[Any]]:
        """Runs the cell.

        Args:
            sequences: `(batch, time, features)`.
            states: initial states, each `(batch, units)`.
            mask: None, or boolean `(batch, time)`.
            noise: what `cell.noise.draw` returned, or nothing.
            return_sequences: whether the output of every step is wanted.
            zero_output_for_mask: whether masked steps give zeros.
            training: whether gradients will be taken, as far as is known.

        Returns:
            Last output `(batch, units)`, outputs `(batch, time, units)` (of length 1
            without `return_sequences`), last states.
        """
        cell = self.cell
        dtype = cell.compute_dtype
        tensors = {"sequences": _tensor(sequences, dtype)}
        tensors |= weights_of(cell)
        for name in cell.normalization.tensors if cell.normalization else ():
            tensors[name] = _tensor(getattr(cell, name), dtype)
        if cell.normalization and cell.normalization.by_step and not training:
            moving = cell.normalization.moving(ops.shape(sequences)[1])
            noise = noise | {
                k: _tensor(v, tensors["sequences"].dtype) for k, v in moving.items()
            }
        tensors |= {NOISE + name: value for name, value in noise.items()}
        if mask is not None:
            tensors["mask"] = ops.cast(mask, "bool")
        vectors = cell.all_coefficients()
        dtype = _precision.wide(cell.compute_dtype)
        vectors = [_tensor(vectors[k], dtype) for k in cell.vector_names]
        states = [_tensor(s, cell.compute_dtype) for s in states]
        way = self._way(tensors["sequences"], bool(training))
        way = dataclasses.replace(way, noise=tuple(noise))
        key = (return_sequences, zero_output_for_mask, way)
        if key not in self._compiled:
            function = self._function(*key)
            self._compiled[key] = self.backend.compiled(function, way.xla)
        *results, moments = self._compiled[key](tensors, vectors, states)
        if moments:
            steps = None
            if mask is not None:
                valid = ops.any(masks.column(tensors["mask"]), axis=2)
                # Keras 3.12 on torch takes one axis at a time.
                steps = ops.any(valid, axis=0)
                steps = ops.flip(steps, axis=0) if self.go_backwards else steps
            cell.normalization.update(moments, steps)
        return results

    def _way(self, sequences, training):
        repeated = training and self.checkpoint is not None
        return Way(training, segments="repeated" if repeated else None)

    def _vector_names(self):
        """Their names among the tensors that all segments share."""
        return [f"vector {name}" for name in self.cell.vector_names]

    def _segment_steps(self, length, way):
        """Steps of a segment; `length` is a number or, where not known, a tensor."""
        known = isinstance(length, int)
        if way.segments == "kept":
            return _whole(length, -(-length // SEGMENTS))
        if self.checkpoint is not True:
            return (min if known else ops.minimum)(self.checkpoint, length)
        if not known:
            root = ops.ceil(ops.sqrt(ops.cast(length, "float32")))
            return ops.cast(root, "int32")
        return _whole(length, math.isqrt(length - 1) + 1)

    def _function(self, return_sequences, zero_output_for_mask, way):
        """A function of tensors, vectors and states that returns what a call does."""
        raise NotImplementedError

    def _around(self, states_after, return_sequences, zero_output_for_mask):
        """What all engines do before and behind.

        `states_after` gives the first state after every step, `(batch, time, units)`
        or None if not wanted, and the last states; from inputs `(batch, time,
        features)`, what else there is for each step by name (the mask `(batch, time,
        1)`, noise), initial states and all other tensors by name. Last come the
        moments that a normalization notes, by scope.
        """
        each = [NOISE + name for name in self.cell.by_step]

        def run(tensors, vectors, states):
            tensors = _with_noise(dict(tensors), each)
            x, by_step = tensors.pop("sequences"), {}
            if "mask" in tensors:
                by_step["mask"] = masks.column(tensors.pop("mask"))
            by_step |= {name: tensors.pop(name) for name in each if name in tensors}
            shared = tensors | dict(zip(self._vector_names(), vectors))
            if self.go_backwards:
                x = ops.flip(x, axis=1)
                # Moments are counted as the steps are taken.
                by_step = {
                    k: v if k.startswith(NOISE + "moving") else ops.flip(v, axis=1)
                    for k, v in by_step.items()
                }
            mask = by_step.get("mask")
            history = []
            if self.cell.window > 1:
                if INPUTS in shared:
                    x = x * ops.expand_dims(shared.pop(INPUTS), 1)
                *states, last = states
                x, last = windows(x, mask, last, self.cell.window)
                history = [last]
            outputs, states, moments = states_after(x, by_step, states, shared)
            states = [*states, *history]
            if not return_sequences:
                last = states[0]
                if mask is not None:
                    last = masks.mask_last(last, mask, zero_output_for_mask)
                return last, last[:, None], states, moments
            if mask is not None:
                outputs = masks.mask_outputs(outputs, mask, zero_output_for_mask)
            return outputs[:, -1], outputs, states, moments

        return run


def weights_of(cell: Cell) -> dict[str, Any]:
    """The kernels and the bias of a cell by name, as far as it has them.

    They are in float32 where the cell computes in half precision.
    """
    dtype = _precision.wide(cell.compute_dtype)
    weights = {
        "kernel": cell.kernel,
        "recurrent_kernel": None if cell.diagonal else cell.recurrent_kernel,
        "projection_kernel": cell.projection_kernel,
        "bias": cell.bias,
    }
    tensors = {k: _tensor(v, dtype) for k, v in weights.items() if v is not None}
    if "recurrent_kernel" in tensors:
        matrix = cell.recurrent_matrix(tensors["recurrent_kernel"])
        tensors["recurrent_kernel"] = matrix
    return tensors


def _whole(length, about):
    """About so many steps of a segment, if possible a divisor of the length.

    A rest behind the whole segments is a program of its own to compile. But with less
    than half as many steps there would be too many segments.
    """
    near = [k for k in range(about // 2 + 1, 2 * about) if length % k == 0]
    return min(near, key=lambda k: abs(k - about), default=about)


def _with_noise(tensors, each):
    """The tensors with masks on weights, and on inputs at every step, in them."""
    on = {"kernel": "kernel", "recurrent_kernel": "recurrent_kernel"}
    if NOISE + "inputs" in each:
        on["inputs"] = "sequences"
    for name, tensor in on.items():
        if NOISE + name in tensors:
            noise = _precision.cast(tensors.pop(NOISE + name), tensors[tensor])
            tensors[tensor] = tensors[tensor] * noise
    return tensors


def _tensor(value, dtype):
    backend = backends.current()
    if backend.EAGER:
        return backend.tensor(value, dtype)
    return ops.cast(ops.convert_to_tensor(value), dtype)
