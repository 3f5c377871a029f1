"""The base class of engines: the tensors of one call, and the compiled function."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells import Cell
from keras_rnnx.cells._base.normalization import BatchNormalization
from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.cells._base.tensors import DrawnMasks, StepContext
from keras_rnnx.engine import _precision, backends, masks
from keras_rnnx.engine.backends.protocol import Length, Tensor, Tensors
from keras_rnnx.engine.loop.tensors import LoopResults, SequenceTensors
from keras_rnnx.engine.windows import windows

# Number of segments of a sequence whose segments keep what their gradients need.
SEGMENTS = 16


@dataclasses.dataclass(frozen=True)
class CallOptions:
    """How to compute one call.

    Attributes:
        return_sequences: whether the output of every step is wanted.
        zero_output_for_mask: whether the outputs of masked steps are zero.
        training: whether gradients will be taken, as far as is known.
        xla: whether XLA compiles the loop.
        segments: None; or how the sequence runs in segments: "kept" (the tensors for
            their gradients are kept) or "repeated" (they are computed again).
    """

    return_sequences: bool
    zero_output_for_mask: bool
    training: bool
    xla: bool = False
    segments: str | None = None


class SequenceEngine:
    """Runs one cell over sequences. A layer makes an engine and keeps it.

    Subclasses compute the states from the tensors of a call.

    Args:
        cell: the cell, built.
        go_backwards: whether to read the sequence from its end.
        unroll: whether to write the loop out.
        checkpoint: number of steps of a segment; training keeps only its first states.
            True for about the square root of all steps, or None.
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
        sequences: Tensor,
        states: Tensors,
        mask: Tensor | None,
        drawn: DrawnMasks,
        return_sequences: bool,
        zero_output_for_mask: bool,
        training: bool,
    ) -> tuple[Tensor, Tensor, Tensors]:
        """Runs the cell.

        Args:
            sequences: `(batch, time, features)`.
            states: initial states, each `(batch, units)`.
            mask: None, or boolean `(batch, time)`.
            drawn: the random masks of the call.
            return_sequences: whether the output of every step is wanted.
            zero_output_for_mask: whether the outputs of masked steps are zero.
            training: whether gradients will be taken, as far as is known.

        Returns:
            Last output `(batch, units)`, outputs `(batch, time, units)` (of length 1
            without `return_sequences`), last states.
        """
        training = bool(training)
        tensors = self._tensors(sequences, states, mask, drawn, training)
        options = self._options(
            tensors.sequences, return_sequences, zero_output_for_mask, training
        )
        if options not in self._compiled:
            run = functools.partial(self._run, options=options)
            self._compiled[options] = self.backend.compiled(run, options.xla)
        last, outputs, states, moments = self._compiled[options](tensors)
        if moments:
            self._note(moments, mask)
        return last, outputs, states

    def _tensors(
        self,
        sequences: Tensor,
        states: Tensors,
        mask: Tensor | None,
        drawn: DrawnMasks,
        training: bool,
    ) -> SequenceTensors:
        """The tensors of a call, with masks on weights and on the inputs of every step
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
            assert isinstance(normalization, BatchNormalization)
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
    def _state_names(self) -> list[str]:
        names = list(self.program.states)
        return [*names, "window"] if self.program.window > 1 else names

    def _options(
        self,
        sequences: Tensor,
        return_sequences: bool,
        zero_output_for_mask: bool,
        training: bool,
    ) -> CallOptions:
        """How to compute a call."""
        repeated = training and self.checkpoint is not None
        return CallOptions(
            return_sequences,
            zero_output_for_mask,
            training,
            segments="repeated" if repeated else None,
        )

    def _note(self, moments: dict[str, Tensor], mask: Tensor | None) -> None:
        """Moves the averages of a normalization."""
        valid = None
        if mask is not None:
            # Keras 3.12 on torch takes one axis at a time.
            valid = ops.any(ops.any(masks.column(mask), axis=2), axis=0)
            valid = ops.flip(valid, axis=0) if self.go_backwards else valid
        normalization = self.program.normalization
        assert isinstance(normalization, BatchNormalization)
        normalization.update(moments, valid)

    def _segment_steps(self, length: Length, options: CallOptions) -> Length:
        """Number of steps of a segment; `length` is an int, or a tensor if unknown."""
        fixed = isinstance(length, int)
        if options.segments == "kept":
            return _whole(length, -(-length // SEGMENTS))
        if self.checkpoint is not True:
            return (min if fixed else ops.minimum)(self.checkpoint, length)
        if not fixed:
            root = ops.ceil(ops.sqrt(ops.cast(length, "float32")))
            return ops.cast(root, "int32")
        return _whole(length, math.isqrt(length - 1) + 1)

    def _states(self, tensors: SequenceTensors, options: CallOptions) -> LoopResults:
        """The states after the steps.

        Args:
            tensors: the tensors of the call.
            options: how to compute them.

        Returns:
            The first state after every step, `(batch, time, units)` or None if not
            wanted; the moments that a normalization records; the last states.
        """
        raise NotImplementedError

    def _run(
        self, tensors: SequenceTensors, options: CallOptions
    ) -> tuple[Tensor, Tensor, Tensors, dict[str, Tensor]]:
        """Runs the engine, with the steps before and after that all engines share."""
        if self.go_backwards:
            tensors = _reversed(tensors)
        valid, history = tensors.by_step.valid, []
        if self.program.window > 1:
            tensors, last = self._windowed(tensors)
            history = [last]
        outputs, moments, by_name = self._states(tensors, options)
        states = [*by_name.values(), *history]
        zero = options.zero_output_for_mask
        if not options.return_sequences:
            last = states[0]
            if valid is not None:
                last = masks.mask_last(last, valid, zero)
            return last, last[:, None], states, moments
        if valid is not None:
            outputs = masks.mask_outputs(outputs, valid, zero)
        return outputs[:, -1], outputs, states, moments

    def _windowed(self, tensors: SequenceTensors) -> tuple[SequenceTensors, Tensor]:
        """The tensors with the inputs of several steps joined, and the history after
        the last step."""
        x, states = tensors.sequences, dict(tensors.states)
        if tensors.input_mask is not None:
            x = x * ops.expand_dims(tensors.input_mask, 1)
        x, last = windows(
            x, tensors.by_step.valid, states.pop("window"), self.program.window
        )
        return dataclasses.replace(
            tensors, sequences=x, states=states, input_mask=None
        ), last


def _reversed(tensors: SequenceTensors) -> SequenceTensors:
    """The tensors of a call with the last step first."""

    def flip(tensor: Tensor) -> Tensor:
        return ops.flip(tensor, axis=1)

    by_step = _trees.mapped(flip, dataclasses.replace(tensors.by_step, moving={}))
    # Moving averages are in the order in which the steps run.
    by_step = dataclasses.replace(by_step, moving=tensors.by_step.moving)
    return dataclasses.replace(
        tensors, sequences=flip(tensors.sequences), by_step=by_step
    )


def weights_of(program: CellProgram) -> dict[str, Tensor]:
    """The kernels and the bias of a cell by name, as far as it has them.

    They are in float32 if the cell computes in half precision.
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


def _whole(length: int, about: int) -> int:
    """A number of steps near `about`, if possible a divisor of the length.

    Steps that remain after the whole segments need another compiled program. But
    segments of less than half as many steps would be too many.
    """
    near = [k for k in range(about // 2 + 1, 2 * about) if length % k == 0]
    return min(near, key=lambda k: abs(k - about), default=about)


def _tensor(value: Any, dtype: str) -> Tensor:
    return backends.current().tensor(value, dtype)
