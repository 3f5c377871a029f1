"""A recurrence whose steps run one after the other in a loop."""

from __future__ import annotations

import dataclasses
import functools
from types import ModuleType
from typing import Any

from keras import ops

from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.cells._base.tensors import StepContext
from keras_rnnx.engine.loop.differentiable import Differentiable


@dataclasses.dataclass(frozen=True)
class LoopOptions:
    """How a loop is run.

    Attributes:
        sequences: whether the output of every step is wanted.
        keep: whether to keep what the backward pass needs. Without it the backward
            pass, should it come, runs forward once more.
        unroll: whether to write the loop out.
        xla: whether the loop is compiled into one program.
        pieces: whether what is kept may stay in pieces, one for each step. Else all of
            the recurrence, with what stands around it, is one program for XLA.
        states_only: whether to keep the states alone. The backward pass then has the
            products of all steps once more, each as one large product.
    """

    sequences: bool
    keep: bool = True
    unroll: bool = False
    xla: bool = False
    pieces: bool = True
    states_only: bool = False


class TimeLoop(Differentiable):
    """What recurrences with a loop over time share.

    Args:
        program: the cell.
        backend: one of the backend files of this package.
        options: how it is run.

    Attributes:
        scan: the loop of the backend; arguments as in `backends/protocol.py`.
    """

    def __init__(self, program: CellProgram, backend: ModuleType, options: LoopOptions):
        super().__init__(program, backend, options.sequences, options.keep)
        self.options = options
        compiled = options.xla and options.pieces
        run = backend.compiled_scan if compiled else backend.scan
        self.scan = functools.partial(run, unroll=options.unroll)
        # XLA holds a sequence in one buffer.
        self.loose = options.pieces and not options.xla

    @property
    def states_before(self) -> list[str]:
        """Names of the states that are kept before each step.

        The first stands in the outputs too, so that keeping it costs memory unless the
        pieces are shared.
        """
        names = list(self.program.states)
        return names if self.loose else names[1:]

    def before(self, length: Any, first: Any, outputs: Any) -> Any:
        """The first state before each step."""
        first = ops.expand_dims(first, 0)
        return self.backend.concatenate([first, outputs], 0)[:length]

    def context(self, tensors: Any, of_step: StepContext) -> StepContext:
        """The context of a step, or of all steps, with the masks of the sequence."""
        return of_step.beside(tensors.whole)
