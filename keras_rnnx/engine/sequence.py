"""What the engines share: the tensors of one call, and the compiled function."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells import Cell
from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.cells._base.tensors import DrawnMasks, StepContext
from keras_rnnx.engine import _precision, backends, masks
from keras_rnnx.engine.loop.tensors import LoopResults, SequenceTensors
from keras_rnnx.engine.windows import windows

# Into how many segments a sequence goes whose segments keep what they need.
SEGMENTS = 16


@dataclasses.dataclass(frozen=True)
class CallOptions:
    """How one call is computed.

    Attributes:
        return_sequences: whether the output of every step is wanted.
        zero_output_for_mask: whether masked steps give zeros.
        training: whether gradients will be taken, as far as is known.
        xla: whether the loop is compiled by XLA.
        segments: None; or how the sequence is run in segments: "kept" (what their
            gradients need is kept) or "repeated" (it is computed again).
    """

    return_sequences: bool
    zero_output_for_mask: bool
    training: bool
    xla: bool = False
    segments: str | None = None


class SequenceEngine:
    """Runs one cell over sequences. A layer makes one and keeps it.

    Subclasses say how states are computed from the tensors of a call.

    Args:
        cell: the cell, built.
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
        self.backend = backends.current()
        self.program = CellProgram(cell, self.backend.where)
        self.go_backwards = go_backwards
        self.unroll = unroll
        self.checkpoint = checkpoint
        self._compiled: dict[CallOptions, Callable] = {}

    def __call__(
        self,
        sequences: Any,
        states: list[Any],
        mask: Any,
        drawn: DrawnMasks,
        return_sequences: bool,
        zero_output_for_mask: bool,
        training: bool,
    ) -> tuple[Any, Any, list[Any]]:
        """Runs the cell.

        Args:
            sequences: `(batch, time, features)`.
            states: initial states, each `(batch, units)`.
            mask: None, or boolean `(batch, time)`.
            drawn: the random masks of the call.
            return_sequences: whether the output of every step is wanted.
            zero_output_for_mask: whether masked steps give zeros.
            training: whether gradients will be taken, as far as is known.

        Returns:
            Last output `(batch, units)`, outputs `(batch, time, units)` (of length 1
            without `return_sequences`), last states.
        """
        training = bool(training)
        given = self._tensors(sequences, states, mask, drawn, training)
        options = self._options(
            given.sequences, return_sequences, zero_output_for_mask, training
        )
        if options not in self._compiled:
            run = functools.partial(self._run, options=options)
            self._compiled[options] = self.backend.compiled(run, options.xla)
        last, outputs, states, moments = self._compiled[options](given)
        if moments:
            self._note(moments, mask)
        return last, outputs, states

    def _tensors(self, sequences, states, mask, drawn, training):
        """The tensors of a call; masks on weights, and on inputs of every step, are
        applied."""
        program, narrow = self.program, self.program.dtype
        wide = _precision.wide(narrow)
        x = _tensor(sequences, narrow)
        weights = weights_of(program)
        for name, random_mask in drawn.weights.items():
            weights[name] = weights[name] * _precision.cast(random_mask, weights[name])
        input_mask = drawn.inputs
        if input_mask is not None and len(input_mask.shape) == 3:
            x, input_mask = x * _precision.cast(input_mask, x), None
        by_step = drawn.by_step
        if mask is not None:
            by_step = by_step.beside(StepContext(valid=masks.column(mask)))
        normalization = program.normalization
        if normalization and normalization.notes_moments and not training:
            moving = normalization.moving(ops.shape(sequences)[1])
            moving = {scope: _tensor(v, narrow) for scope, v in moving.items()}
            by_step = by_step.beside(StepContext(moving=moving))
        return SequenceTensors(
            sequences=x,
            states={
                name: _tensor(state, narrow)
                for name, state in zip(self._state_names, states)
            },
            weights=weights,
            vectors=_trees.mapped(lambda v: _tensor(v, wide), program.step_vectors()),
            input_mask=input_mask,
            whole=drawn.whole,
            by_step=by_step,
        )

    @property
    def _state_names(self):
        names = list(self.program.states)
        return [*names, "window"] if self.program.window > 1 else names

    def _options(self, sequences, return_sequences, zero_output_for_mask, training):
        """How a call is computed."""
        repeated = training and self.checkpoint is not None
        return CallOptions(
            return_sequences,
            zero_output_for_mask,
            training,
            segments="repeated" if repeated else None,
        )

    def _note(self, moments, mask):
        """Moves the averages of a normalization."""
        valid = None
        if mask is not None:
            # Keras 3.12 on torch takes one axis at a time.
            valid = ops.any(ops.any(masks.column(mask), axis=2), axis=0)
            valid = ops.flip(valid, axis=0) if self.go_backwards else valid
        self.program.normalization.update(moments, valid)

    def _segment_steps(self, length, options):
        """Steps of a segment; `length` is a number or, where not known, a tensor."""
        known = isinstance(length, int)
        if options.segments == "kept":
            return _whole(length, -(-length // SEGMENTS))
        if self.checkpoint is not True:
            return (min if known else ops.minimum)(self.checkpoint, length)
        if not known:
            root = ops.ceil(ops.sqrt(ops.cast(length, "float32")))
            return ops.cast(root, "int32")
        return _whole(length, math.isqrt(length - 1) + 1)

    def _states(self, given: SequenceTensors, options: CallOptions) -> LoopResults:
        """The states after the steps.

        Args:
            given: the tensors of the call.
            options: how they are computed.

        Returns:
            The first state after every step, `(batch, time, units)` or None if not
            wanted; the moments that a normalization notes; the last states.
        """
        raise NotImplementedError

    def _run(self, given, options):
        """What all engines do before and behind."""
        if self.go_backwards:
            given = _reversed(given)
        valid, history = given.by_step.valid, []
        if self.program.window > 1:
            given, last = self._windowed(given)
            history = [last]
        outputs, moments, states = self._states(given, options)
        states = [*states.values(), *history]
        zero = options.zero_output_for_mask
        if not options.return_sequences:
            last = states[0]
            if valid is not None:
                last = masks.mask_last(last, valid, zero)
            return last, last[:, None], states, moments
        if valid is not None:
            outputs = masks.mask_outputs(outputs, valid, zero)
        return outputs[:, -1], outputs, states, moments

    def _windowed(self, given):
        """The tensors with the inputs of several steps beside each other, and what is
        left behind the last step."""
        x, states = given.sequences, dict(given.states)
        if given.input_mask is not None:
            x = x * ops.expand_dims(given.input_mask, 1)
        x, last = windows(
            x, given.by_step.valid, states.pop("window"), self.program.window
        )
        return dataclasses.replace(
            given, sequences=x, states=states, input_mask=None
        ), last


def _reversed(given):
    """The tensors of a call with the last step first."""

    def flip(tensor):
        return ops.flip(tensor, axis=1)

    by_step = _trees.mapped(flip, dataclasses.replace(given.by_step, moving={}))
    # Moments are counted as the steps are taken.
    by_step = dataclasses.replace(by_step, moving=given.by_step.moving)
    return dataclasses.replace(given, sequences=flip(given.sequences), by_step=by_step)


def weights_of(program: CellProgram) -> dict[str, Any]:
    """The kernels and the bias of a cell by name, as far as it has them.

    They are in float32 where the cell computes in half precision.
    """
    wide = _precision.wide(program.dtype)
    normalization = program.normalization
    narrow = normalization.tensors if normalization else ()
    tensors = {
        name: _tensor(value, program.dtype if name in narrow else wide)
        for name, value in program.weights().items()
    }
    if "recurrent_kernel" in tensors:
        matrix = program.recurrent_matrix(tensors["recurrent_kernel"])
        tensors["recurrent_kernel"] = matrix
    return tensors


def _whole(length, about):
    """About so many steps of a segment, if possible a divisor of the length.

    A rest behind the whole segments is a program of its own to compile. But with less
    than half as many steps there would be too many segments.
    """
    near = [k for k in range(about // 2 + 1, 2 * about) if length % k == 0]
    return min(near, key=lambda k: abs(k - about), default=about)


def _tensor(value, dtype):
    return backends.current().tensor(value, dtype)
