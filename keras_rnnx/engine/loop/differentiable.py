"""The base class of recurrences with a custom backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from keras_rnnx import _trees
from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.engine import recording
from keras_rnnx.engine.backends.protocol import (
    Backend,
    Backward,
    Cotangents,
    EagerBackend,
    Forward,
    Function,
    Length,
    Tensor,
    Tensors,
    Tree,
)
from keras_rnnx.engine.loop.tensors import LoopResults

# A function that computes the input parts of the gates, by name, and its tensors.
Source: TypeAlias = tuple[Callable[[Tensors], dict[str, Tensor]], Tensors]


class Differentiable:
    """Base class of the recurrences: subclasses define `forward` and `backward`.

    Args:
        program: the cell.
        backend: one of the backend files of this package.
        sequences: whether to return the output of every step.
        keep: whether to keep the tensors that the backward pass needs. Otherwise the
            backward pass, if it comes, runs the forward pass again.

    Attributes:
        kept: a tree with the width of each tensor that is kept.
        loops: whether there are operations for every step.
        moments: names of the scopes whose moments are recorded.
    """

    kept: Tree
    loops = True
    moments: tuple[str, ...] = ()

    def __init__(
        self,
        program: CellProgram,
        backend: Backend,
        sequences: bool,
        keep: bool = True,
    ):
        self.program = program
        self.backend = backend
        self.sequences = sequences
        self.keep = keep
        # Other backends compile the loop.
        self.recorder: Any = None
        if backend.EAGER and self.loops:
            self.recorder = cast(EagerBackend, backend).Recorder(program)

    def __call__(
        self,
        length: Length,
        tensors: Tree,
        source: Source | None = None,
    ) -> LoopResults:
        """Runs the cell.

        Args:
            length: number of steps.
            tensors: a dataclass of tensors, such as `LoopTensors`.
            source: a function and its tensors. It recomputes the `inputs` for second
                derivatives if they were not kept. Default: none, for recurrences that
                keep all inputs.
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

        def forward(inputs: Tensors) -> tuple[Tensors, Tensors]:
            tree = structure.tree(inputs)
            result, residuals = self.forward(length, tree, self.keep)
            return results.flat(result), kept.flat(residuals) if self.keep else []

        def backward(
            inputs: Tensors, residuals: Tensors, cotangents: Cotangents
        ) -> Cotangents:
            tree, at_end = structure.tree(inputs), results.tree(cotangents)
            if residuals:
                residuals = kept.tree(residuals)
            else:
                _, residuals = self.forward(length, tree, keep=True)
            gradients = self.backward(length, tree, residuals, at_end)
            # The tensors of the source get their gradients through the inputs.
            return structure.flat(gradients) + [None] * (len(inputs) - n)

        passes: tuple[Forward, Backward] = forward, backward
        if self.recorder and recording.allowed():
            key = length, _trees.signature(tensors)
            passes = self._recorded(forward, backward, key, n)
        spared: set[int] = set()
        if self.keep and self.spared():
            at = structure.positions().inputs
            spared = {at[name] for name in self.spared()}
            if self.backend.EAGER and source:
                # Other backends do not run the function again.
                flat += source[1]
        plainly = self._plainly(length, structure, results, source)
        run = self.backend.differentiable(*passes, spared, *plainly)
        return results.tree(run(flat))

    def _recorded(
        self, forward: Forward, backward: Backward, key: tuple, n: int
    ) -> tuple[Forward, Backward]:
        """The two functions, recorded and replayed where that is faster."""
        recorder = self.recorder

        def play(inputs: Tensors) -> tuple[Tensors, Tensors]:
            return recorder(forward, ("forward", *key), inputs[:n])

        def steps_back(
            inputs: Tensors, residuals: Tensors, cotangents: Cotangents
        ) -> tuple[Cotangents]:
            return (backward(inputs, residuals, cotangents),)

        def play_back(
            inputs: Tensors, residuals: Tensors, cotangents: Cotangents
        ) -> Cotangents:
            groups = inputs[:n], residuals, cotangents
            (gradients,) = recorder(steps_back, ("backward", *key), *groups)
            return gradients + [None] * (len(inputs) - n)

        return play, play_back

    def _results(self) -> LoopResults:
        """A tree with the structure of the results."""
        outputs = True if self.sequences else None
        moments = dict.fromkeys(self.moments, True)
        return LoopResults(outputs, moments, dict.fromkeys(self.program.states, True))

    def _plainly(
        self,
        length: Length,
        structure: _trees.Structure,
        results: _trees.Structure,
        source: Source | None,
    ) -> tuple[Function, Backward]:
        """The functions for second derivatives and transforms on torch: `plain` and
        `again` of `torch.gradients.differentiable`."""
        n = structure.size

        def plain(inputs: Tensors) -> Tensors:
            if self.keep:
                self._refuse_flow()
            return results.flat(self.plain(length, structure.tree(inputs)))

        def again(
            inputs: Tensors, residuals: Tensors, cotangents: Cotangents
        ) -> Cotangents:
            self._refuse_flow()
            inputs, tensors = inputs[:n], inputs[n:]
            if tensors:
                assert source is not None
                recomputed, at = source[0](tensors), structure.positions().inputs
                for name, position in at.items():
                    if inputs[position] is None:
                        inputs[position] = recomputed[name]
            backend = cast(EagerBackend, self.backend)
            d_inputs = backend.gradients(plain, inputs, cotangents)
            return d_inputs + [None] * len(tensors)

        return plain, again

    def _refuse_flow(self) -> None:
        if self.program.gradient_flow:
            raise RuntimeError(
                "GradientFlow adds a term to the gradients of the fused engine that is "
                "not the gradient of a loss. So torch has no second derivatives here, "
                "no transforms of torch.func in training, and no forward-mode "
                "derivatives. Build the cell without this regularizer to take them."
            )

    def plain(self, length: Length, tensors: Tree) -> LoopResults:
        """The results of a call, by operations that the framework differentiates."""
        return self.forward(length, tensors, keep=False)[0]

    def spared(self) -> set[str]:
        """Names of the `inputs` that the backward pass does not read if the forward
        pass keeps its tensors."""
        return set()

    def forward(
        self, length: Length, tensors: Tree, keep: bool
    ) -> tuple[LoopResults, Tree]:
        """The results of a call, and with `keep` the tensors that `backward` needs, in
        a tree like `kept`.

        Args:
            length: number of steps.
            tensors: the tensors.
            keep: whether a backward pass will come.
        """
        raise NotImplementedError

    def backward(
        self, length: Length, tensors: Tree, residuals: Tree, cotangents: LoopResults
    ) -> Tree:
        """Gradients, in a tree like that of the tensors; missing ones are zero.

        Args:
            length, tensors: as for `forward`.
            residuals: the tensors that the forward pass kept.
            cotangents: of its results.
        """
        raise NotImplementedError
