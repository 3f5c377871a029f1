"""A recurrence with a backward pass of its own, whatever computes it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from keras_rnnx import _trees
from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.engine import recording
from keras_rnnx.engine.loop.tensors import LoopResults


class Differentiable:
    """Base class of the recurrences: subclasses have `forward` and `backward`.

    Args:
        program: the cell.
        backend: one of the backend files of this package.
        sequences: whether to return the output of every step.
        keep: whether to keep what the backward pass needs. Without it the backward
            pass, should it come, runs forward once more.

    Attributes:
        kept: a tree with the width of each tensor that is kept.
        loops: whether there are operations for every step.
        moments: names of the scopes whose moments are noted.
    """

    kept: Any
    loops = True
    moments: tuple[str, ...] = ()

    def __init__(
        self,
        program: CellProgram,
        backend: ModuleType,
        sequences: bool,
        keep: bool = True,
    ):
        self.program = program
        self.backend = backend
        self.sequences = sequences
        self.keep = keep
        # Elsewhere the loop is compiled.
        self.recorder = None
        if backend.EAGER and self.loops:
            self.recorder = backend.Recorder(program)

    def __call__(
        self,
        length: Any,
        tensors: Any,
        source: tuple[Callable, list[Any]] | None = None,
    ) -> LoopResults:
        """Runs the cell.

        Args:
            length: number of steps.
            tensors: a dataclass of tensors, such as `LoopTensors`.
            source: a function and its tensors, from which the `inputs` are made once
                more where second derivatives are asked for and they were not kept.
                Default: none, for recurrences that spare nothing.
        """
        state = tensors.states[self.program.output]
        records = self.recorder is not None and self.recorder.may_record(state)
        if self.backend.may_write() and not records:
            # No gradient can be asked for.
            return self.forward(length, tensors, keep=False)[0]
        structure, kept = _trees.Structure(tensors), _trees.Structure(self.kept)
        results = _trees.Structure(self._results())
        flat = structure.flat(tensors)
        n = len(flat)

        def forward(inputs):
            given = structure.tree(inputs)
            found, residuals = self.forward(length, given, self.keep)
            return results.flat(found), kept.flat(residuals) if self.keep else []

        def backward(inputs, residuals, cotangents):
            given, at_end = structure.tree(inputs), results.tree(cotangents)
            if residuals:
                residuals = kept.tree(residuals)
            else:
                _, residuals = self.forward(length, given, keep=True)
            found = self.backward(length, given, residuals, at_end)
            # The source of the inputs gets its gradients through them.
            return structure.flat(found) + [None] * (len(inputs) - n)

        if self.recorder and recording.allowed():
            key = length, _trees.signature(tensors)
            forward, backward = self._recorded(forward, backward, key, n)
        spared = set()
        if self.keep and self.spared():
            at = structure.positions().inputs
            spared = {at[name] for name in self.spared()}
            if self.backend.EAGER and source:
                # Elsewhere nothing is run again.
                flat += source[1]
        plainly = self._plainly(length, structure, results, source)
        run = self.backend.differentiable(forward, backward, spared, *plainly)
        return results.tree(run(flat))

    def _recorded(self, forward, backward, key, n):
        """The two functions, recorded and played where that pays."""
        recorder = self.recorder

        def play(inputs):
            return recorder(forward, ("forward", *key), inputs[:n])

        def steps_back(inputs, residuals, cotangents):
            return (backward(inputs, residuals, cotangents),)

        def play_back(inputs, residuals, cotangents):
            groups = inputs[:n], residuals, cotangents
            (found,) = recorder(steps_back, ("backward", *key), *groups)
            return found + [None] * (len(inputs) - n)

        return play, play_back

    def _results(self):
        """A tree as that of the results, with anything in the place of tensors."""
        outputs = True if self.sequences else None
        moments = dict.fromkeys(self.moments, True)
        return LoopResults(outputs, moments, dict.fromkeys(self.program.states, True))

    def _plainly(self, length, structure, results, source):
        """The functions that second derivatives and transforms take on torch: `plain`
        and `again` of `torch.gradients.differentiable`."""
        n = structure.size

        def plain(inputs):
            if self.keep:
                self._refuse_flow()
            return results.flat(self.plain(length, structure.tree(inputs)))

        def again(inputs, residuals, cotangents):
            self._refuse_flow()
            inputs, tensors = inputs[:n], inputs[n:]
            if tensors:
                made, at = source[0](tensors), structure.positions().inputs
                for name, position in at.items():
                    if inputs[position] is None:
                        inputs[position] = made[name]
            d_inputs = self.backend.gradients(plain, inputs, cotangents)
            return d_inputs + [None] * len(tensors)

        return plain, again

    def _refuse_flow(self):
        if self.program.gradient_flow:
            raise RuntimeError(
                "GradientFlow adds to the gradients of the fused engine what is not "
                "the gradient of a loss. So torch has no second derivatives here, no "
                "transforms of torch.func in training, and no forward-mode "
                "derivatives. Build the cell without this regularizer to take them."
            )

    def plain(self, length: Any, given: Any) -> LoopResults:
        """What a call returns, by operations that the framework differentiates."""
        return self.forward(length, given, keep=False)[0]

    def spared(self) -> set[str]:
        """Names of the `inputs` that the backward pass does not read, where all is
        kept."""
        return set()

    def forward(self, length: Any, given: Any, keep: bool) -> tuple[LoopResults, Any]:
        """What a call returns, and with `keep` a tree as `kept` of what `backward`
        needs.

        Args:
            length: number of steps.
            given: the tensors.
            keep: whether a backward pass will come.
        """
        raise NotImplementedError

    def backward(
        self, length: Any, given: Any, residuals: Any, cotangents: LoopResults
    ) -> Any:
        """Gradients, in a tree as that of the tensors; what it lacks is zero.

        Args:
            length, given: as for `forward`.
            residuals: what it kept.
            cotangents: of what it returned.
        """
        raise NotImplementedError
