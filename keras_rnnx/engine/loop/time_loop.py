"""A recurrence whose steps run one after the other in a loop."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from keras import ops

from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.cells._base.tensors import StepContext
from keras_rnnx.engine.backends.protocol import Backend, Length, Tensor
from keras_rnnx.engine.loop.differentiable import Differentiable

if TYPE_CHECKING:
    from keras_rnnx.engine.loop.normalized.centered import NormalizedTensors
    from keras_rnnx.engine.loop.tensors import LoopTensors


@dataclasses.dataclass(frozen=True)
class LoopOptions:
    """How a loop runs.

    Attributes:
        sequences: whether the output of every step is wanted.
        keep: whether to keep the tensors that the backward pass needs. Otherwise the
            backward pass, if it comes, runs the forward pass again.
        unroll: whether to write the loop out.
        xla: whether XLA compiles the loop into one program.
        pieces: whether kept tensors may stay in pieces, one for each step. Otherwise
            the whole recurrence and the operations around it are one XLA program.
        states_only: whether to keep only the states. The backward pass then computes
            the products of all steps again, each as one large product.
    """

    sequences: bool
    keep: bool = True
    unroll: bool = False
    xla: bool = False
    pieces: bool = True
    states_only: bool = False


class TimeLoop(Differentiable):
    """Base class of recurrences with a loop over time.

    Args:
        program: the cell.
        backend: one of the backend files of this package.
        options: how the loop runs.

    Attributes:
        scan: the loop of the backend; arguments as in `backends/protocol.py`.
    """

    def __init__(self, program: CellProgram, backend: Backend, options: LoopOptions):
        super().__init__(program, backend, options.sequences, options.keep)
        self.options = options
        compiled = options.xla and options.pieces
        run = backend.compiled_scan if compiled else backend.scan
        self.scan = functools.partial(run, unroll=options.unroll)
        # XLA keeps all steps of a tensor in one buffer.
        self.loose = options.pieces and not options.xla

    @property
    def states_before(self) -> list[str]:
        """Names of the states that are kept before each step.

        The first state is in the outputs too: keeping it costs memory unless both share
        their pieces.
        """
        names = list(self.program.states)
        return names if self.loose else names[1:]

    def before(self, length: Length, first: Tensor, outputs: Tensor) -> Tensor:
        """The first state before each step."""
        first = ops.expand_dims(first, 0)
        return self.backend.concatenate([first, outputs], 0)[:length]

    def context(
        self, tensors: LoopTensors | NormalizedTensors, of_step: StepContext
    ) -> StepContext:
        """The context of a step, or of all steps, with the masks of the sequence."""
        return of_step.beside(tensors.whole)
