"""Runs a long sequence in segments of time, to save memory.

Only the states are kept between segments. The tensors within a segment are kept in the
compact form that its engine asks for, or computed again in the backward pass
(checkpointing, Chen et al., 2016, arXiv:1604.06174). Larger tensors, such as the input
parts of all gates, exist for one segment at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from keras import ops

from keras_rnnx import _trees
from keras_rnnx.engine import _precision
from keras_rnnx.engine.backends.protocol import (
    Backend,
    Cotangents,
    Length,
    Tensor,
    Tensors,
    Tree,
)
from keras_rnnx.engine.loop.tensors import (
    NO_GRADIENT,
    LoopResults,
    SequenceTensors,
    StepOutput,
)


class SegmentResults(NamedTuple):
    """The results of a segment.

    Attributes:
        outputs: `(time, batch, units)`, or None if they are not wanted and nothing is
            kept.
        states: after the last step, by name.
        kept: a tree of tensors `(time, batch, width)`, or None.
    """

    outputs: Tensor
    states: dict[str, Tensor]
    kept: Tree = None


class Segment:
    """How an engine computes one segment.

    Attributes:
        kept: a tree with the width of each tensor that `run` keeps for `gradients`, or
            None if it keeps nothing.
    """

    kept: Tree = None

    def run(self, tensors: SequenceTensors) -> SegmentResults:
        """Runs the segment from its first states.

        Args:
            tensors: the tensors of the segment, with time first.
        """
        raise NotImplementedError

    def gradients(
        self, tensors: SequenceTensors, kept: Tree, cotangents: SegmentResults
    ) -> SequenceTensors:
        """Gradients of inputs, states, weights and vectors; None means zero.

        Args:
            tensors: as for `run`.
            kept: the tensors that `run` kept, or None to compute them again.
            cotangents: of the outputs, or None, and of the last states.
        """
        raise NotImplementedError


class Recomputed(Segment):
    """A segment that runs again in the backward pass, by autodiff of a function.

    Args:
        function: from the tensors to the outputs and the last states.
        backend: one of the backend files of this package.
    """

    def __init__(
        self, function: Callable[[SequenceTensors], SegmentResults], backend: Backend
    ):
        self.function = function
        self.backend = backend

    def run(self, tensors: SequenceTensors) -> SegmentResults:
        return self.function(tensors)

    def gradients(
        self, tensors: SequenceTensors, kept: Tree, cotangents: SegmentResults
    ) -> SequenceTensors:
        names = ("sequences", "states", "weights", "vectors")
        differentiated = {name: getattr(tensors, name) for name in names}
        structure = _trees.Structure(differentiated)
        results = _trees.Structure(
            SegmentResults(True, dict.fromkeys(tensors.states, True))
        )

        def call(leaves: Tensors) -> Tensors:
            changed = dataclasses.replace(tensors, **structure.tree(leaves))
            return results.flat(self.function(changed))

        inputs = structure.flat(differentiated)
        _, pull = self.backend.pullback(call, inputs)
        gradients = [
            ops.zeros_like(i) if d is None else d
            for i, d in zip(
                inputs, pull(results.flat(cotangents), range(structure.size))
            )
        ]
        return dataclasses.replace(
            tensors,
            **structure.tree(gradients),
            input_mask=None,
            whole=NO_GRADIENT,
            by_step=NO_GRADIENT,
        )


class Segments:
    """Runs segment after segment, forward and backward.

    Args:
        segment: computes a segment.
        backend: one of the backend files of this package.
        steps: number of steps of a segment; the last segment may be shorter.
        sequences: whether the output of every step is wanted.
    """

    def __init__(
        self, segment: Segment, backend: Backend, steps: Length, sequences: bool
    ):
        self.segment = segment
        self.backend = backend
        self.steps = steps
        self.sequences = sequences
        self.keep = segment.kept is not None

    def __call__(self, tensors: SequenceTensors) -> LoopResults:
        """Runs the sequence.

        Args:
            tensors: the tensors of the call.
        """
        structure = _trees.Structure(tensors)
        states = dict.fromkeys(tensors.states, True)
        results = _trees.Structure(LoopResults(self.sequences or None, {}, states))
        residuals = _trees.Structure(self._kept(tensors))

        def forward(inputs: Tensors) -> tuple[Tensors, Tensors]:
            result, kept = self._forward(structure.tree(inputs))
            return results.flat(result), residuals.flat(kept)

        def backward(
            inputs: Tensors, kept: Tensors, cotangents: Cotangents
        ) -> Cotangents:
            gradients = self._backward(
                structure.tree(inputs), residuals.tree(kept), results.tree(cotangents)
            )
            return structure.flat(gradients)

        def plain(inputs: Tensors) -> Tensors:
            return forward(inputs)[0]

        run = self.backend.differentiable(forward, backward, set(), plain)
        return results.tree(run(structure.flat(tensors)))

    def _kept(self, tensors: SequenceTensors) -> dict[str, Tree]:
        """A tree with the structure of the kept tensors."""
        states = dict.fromkeys(tensors.states, True)
        of_segment = {
            # Outputs that the caller wants are available in the backward pass anyway.
            "outputs": (self.keep and not self.sequences) or None,
            "kept": self.segment.kept,
        }
        _, remaining = self._split(tensors.sequences)
        return {
            "outputs": (self.keep and self.sequences) or None,
            "segments": {**of_segment, "states": states},
            "end": of_segment if _some(remaining) else None,
            "behind": states,
        }

    def _split(self, x: Tensor) -> tuple[Length, Length]:
        """The number of whole segments, and of the steps after them."""
        steps = length(x)
        if isinstance(steps, int):
            return steps // self.steps, steps % self.steps
        # XLA cannot compile a loop over an empty list, so at least one step remains.
        whole = (steps - 1) // self.steps
        return whole, steps - whole * self.steps

    def _forward(self, tensors: SequenceTensors) -> tuple[LoopResults, dict[str, Tree]]:
        whole, remaining = self._split(tensors.sequences)

        def run(
            start: Length, steps: Length, states: dict[str, Tensor]
        ) -> tuple[dict[str, Tensor], dict[str, Tree]]:
            result = self.segment.run(self._part(tensors, start, steps, states))
            of_segment = {"states": states, "kept": result.kept}
            return result.states, {"outputs": result.outputs, **of_segment}

        behind, segments = self.backend.scan(
            lambda states, i: run(i * self.steps, self.steps, states),
            tensors.states,
            self.backend.counter(whole),
            whole,
            self._segment_outputs(tensors.states),
        )
        last = behind
        end: dict[str, Tree] = {}
        if _some(remaining):
            last, end = run(whole * self.steps, remaining, behind)
        outputs = None
        if self.sequences:
            outputs = self._joined(segments["outputs"], end.get("outputs"))
        kept = {"outputs": outputs, "segments": segments, "end": end, "behind": behind}
        return LoopResults(outputs, {}, last), kept

    def _segment_outputs(self, states: dict[str, Tensor]) -> dict[str, Tree]:
        """Describes the tensors that each segment returns."""
        batch, width = ops.shape(next(iter(states.values())))

        def steps(width: int, loose: bool = True) -> StepOutput:
            return StepOutput((self.steps, batch, width), loose=loose)

        outputs: dict[str, Tree] = {
            "states": {
                name: StepOutput(tuple(ops.shape(state)), loose=True)
                for name, state in states.items()
            }
        }
        if self.keep or self.sequences:
            outputs["outputs"] = steps(width, loose=not self.sequences)
        if self.keep:
            outputs["kept"] = _trees.mapped(steps, self.segment.kept)
        return outputs

    def _backward(
        self, tensors: SequenceTensors, kept: dict[str, Tree], cotangents: LoopResults
    ) -> SequenceTensors:
        whole, remaining = self._split(tensors.sequences)

        def back(
            start: Length,
            steps: Length,
            of_segment: dict[str, Tree],
            states: dict[str, Tensor],
            carry: dict[str, Tree],
        ) -> tuple[dict[str, Tree], Tensor]:
            def part(tensor: Tensor | None) -> Tensor | None:
                return None if tensor is None else self._steps(tensor, start, steps)

            of_run = None
            if self.keep:
                outputs = part(kept["outputs"])
                outputs = of_segment["outputs"] if outputs is None else outputs
                of_run = {"outputs": outputs, **of_segment["kept"]}
            gradients = self.segment.gradients(
                self._part(tensors, start, steps, states),
                of_run,
                SegmentResults(part(cotangents.outputs), carry["states"]),
            )
            sums = _precision.added(carry["sums"], _summed(gradients))
            return {"states": gradients.states, "sums": sums}, gradients.sequences

        def step(carry: dict[str, Tree], at: Tree) -> tuple[dict[str, Tree], Tensor]:
            i, of_segment = at
            return back(
                i * self.steps, self.steps, of_segment, of_segment["states"], carry
            )

        sums = _trees.mapped(ops.zeros_like, _summed(tensors))
        carry, end = {"states": cotangents.states, "sums": sums}, None
        if _some(remaining):
            carry, end = back(
                whole * self.steps, remaining, kept["end"], kept["behind"], carry
            )
        batch, features = ops.shape(tensors.sequences)[0], tensors.sequences.shape[2]
        carry, d_x = self.backend.scan(
            step,
            carry,
            (self.backend.counter(whole), kept["segments"]),
            whole,
            StepOutput((self.steps, batch, features)),
            reverse=True,
        )
        return dataclasses.replace(
            tensors,
            sequences=self._joined(d_x, end),
            states=carry["states"],
            **carry["sums"],
            input_mask=None,
            whole=NO_GRADIENT,
            by_step=NO_GRADIENT,
        )

    def _part(
        self,
        tensors: SequenceTensors,
        start: Length,
        steps: Length,
        states: dict[str, Tensor],
    ) -> SequenceTensors:
        """The tensors of a segment, with time first."""

        def part(tensor: Tensor) -> Tensor:
            return self._steps(tensor, start, steps)

        return dataclasses.replace(
            tensors,
            sequences=part(tensors.sequences),
            states=states,
            by_step=_trees.mapped(part, tensors.by_step),
        )

    def _steps(self, tensor: Tensor, start: Length, steps: Length) -> Tensor:
        """Steps of a tensor `(batch, time, ...)`, time first."""
        part = self.backend.steps_of(tensor, start, steps)
        return ops.transpose(part, (1, 0, 2))

    def _joined(self, stack: Tensor, remaining: Tensor | None) -> Tensor:
        """`(batch, time, ...)` from `(segments, steps, batch, ...)` and the remaining
        steps."""
        batch, features = ops.shape(stack)[2:]
        joined = ops.reshape(ops.transpose(stack, (2, 0, 1, 3)), (batch, -1, features))
        if remaining is None:
            return joined
        return self.backend.concatenate(
            [joined, ops.transpose(remaining, (1, 0, 2))], 1
        )


def _summed(tensors: SequenceTensors) -> dict[str, Tree]:
    """The tensors whose gradients are sums over segments."""
    return {"weights": tensors.weights, "vectors": tensors.vectors}


def length(x: Tensor, axis: int = 1) -> Length:
    """Number of steps of `x`: an int, or a tensor if it is not known."""
    return x.shape[axis] if isinstance(x.shape[axis], int) else ops.shape(x)[axis]


def _some(steps: Length) -> bool:
    """Whether there may be steps; their number is not always known in advance."""
    return not isinstance(steps, int) or steps > 0
