"""A recurrence whose steps run one after the other in a loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

from keras import ops

from keras_rnnx import _trees
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
    """

    def __init__(self, program: CellProgram, backend: ModuleType, options: LoopOptions):
        super().__init__(program, backend, options.sequences, options.keep)
        self.options = options
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

    def scan(
        self,
        step: Callable[[Any, Any], tuple[Any, Any]],
        carry: Any,
        xs: Any,
        length: Any,
        outputs: Any,
        reverse: bool = False,
    ) -> tuple[Any, Any]:
        """The backend's loop, over trees of tensors.

        Args:
            step: from the carry and the slices of a step to the new carry and what the
                step gives.
            carry: the first carry.
            xs: tensors with time first.
            length: number of steps.
            outputs: a `StepOutput` for each tensor that a step gives.
            reverse: whether to run from the last step to the first.

        Returns:
            The last carry, and what the steps gave, with time first.
        """
        compiled = self.options.xla and self.options.pieces
        run = self.backend.compiled_scan if compiled else self.backend.scan
        return scan(run, step, carry, xs, length, outputs, reverse, self.options.unroll)


def scan(
    run: Callable,
    step: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    xs: Any,
    length: Any,
    outputs: Any,
    reverse: bool = False,
    unroll: bool = False,
) -> tuple[Any, Any]:
    """A backend's loop over time, over trees of tensors.

    Args:
        run: the backend's function.
        step, carry, xs, length, outputs, reverse: as for `TimeLoop.scan`.
        unroll: whether to write the loop out.
    """
    of_carry, of_xs = _trees.Structure(carry), _trees.Structure(xs)
    of_outputs = _trees.Structure(outputs)

    def flat_step(carry, slices):
        new, outs = step(of_carry.tree(carry), of_xs.tree(slices))
        return of_carry.flat(new), of_outputs.flat(outs)

    last, stacks = run(
        flat_step,
        of_carry.flat(carry),
        of_xs.flat(xs),
        length,
        of_outputs.flat(outputs),
        reverse=reverse,
        unroll=unroll,
    )
    return of_carry.tree(last), of_outputs.tree(stacks)
