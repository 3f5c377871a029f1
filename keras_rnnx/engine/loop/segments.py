"""A long sequence in segments of time, so that less of it has to be in memory.

Between segments only the states are kept; what lies within one is kept in the compact
form that its engine asks for, or computed again on the way back (checkpointing, Chen
et al., 2016, arXiv:1604.06174). What is larger, such as the inputs' part of all gates,
exists for one segment at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from keras import ops

from keras_rnnx import _trees
from keras_rnnx.engine.loop.tensors import LoopResults, SequenceTensors, StepOutput


class SegmentResults(NamedTuple):
    """What a segment gives.

    Attributes:
        outputs: `(time, batch, units)`, or None if neither they are wanted nor anything
            is kept.
        states: after the last step, by name.
        kept: a tree of tensors `(time, batch, width)`, or None.
    """

    outputs: Any
    states: dict[str, Any]
    kept: Any = None


class Segment:
    """How an engine computes one segment.

    Attributes:
        kept: a tree with the width of each tensor that `run` keeps for `gradients`, or
            None if it keeps nothing.
    """

    kept: Any = None

    def run(self, given: SequenceTensors) -> SegmentResults:
        """The segment from its first states.

        Args:
            given: the tensors of the segment, with time first.
        """
        raise NotImplementedError

    def gradients(
        self, given: SequenceTensors, kept: Any, cotangents: SegmentResults
    ) -> SequenceTensors:
        """Gradients of inputs, states, weights and vectors; what is None is zero.

        Args:
            given: as for `run`.
            kept: what `run` kept, or None to compute it again.
            cotangents: of the outputs, or None, and of the last states.
        """
        raise NotImplementedError


class Recomputed(Segment):
    """A segment whose gradients are those of a function, taken where they are needed.

    Args:
        function: from the tensors to outputs and last states.
        backend: one of the backend files of this package.
    """

    def __init__(
        self, function: Callable[[SequenceTensors], SegmentResults], backend: ModuleType
    ):
        self.function = function
        self.backend = backend

    def run(self, given):
        return self.function(given)

    def gradients(self, given, kept, cotangents):
        names = ("sequences", "states", "weights", "vectors")
        taken = {name: getattr(given, name) for name in names}
        structure = _trees.Structure(taken)
        results = _trees.Structure(
            SegmentResults(True, dict.fromkeys(given.states, True))
        )

        def call(leaves):
            changed = dataclasses.replace(given, **structure.tree(leaves))
            return results.flat(self.function(changed))

        inputs = structure.flat(taken)
        _, pull = self.backend.pullback(call, inputs)
        found = [
            ops.zeros_like(i) if d is None else d
            for i, d in zip(
                inputs, pull(results.flat(cotangents), range(structure.size))
            )
        ]
        return dataclasses.replace(
            given, **structure.tree(found), input_mask=None, whole=None, by_step=None
        )


class Segments:
    """Runs segment after segment, and back.

    Args:
        segment: how to compute one.
        backend: one of the backend files of this package.
        steps: steps of a segment; the last one may be shorter.
        sequences: whether the output of every step is wanted.
    """

    def __init__(
        self, segment: Segment, backend: ModuleType, steps: Any, sequences: bool
    ):
        self.segment = segment
        self.backend = backend
        self.steps = steps
        self.sequences = sequences
        self.keep = segment.kept is not None

    def __call__(self, given: SequenceTensors) -> LoopResults:
        """Runs the sequence.

        Args:
            given: the tensors of the call.
        """
        structure = _trees.Structure(given)
        states = dict.fromkeys(given.states, True)
        results = _trees.Structure(LoopResults(self.sequences or None, {}, states))
        residuals = _trees.Structure(self._kept(given))

        def forward(inputs):
            found, kept = self._forward(structure.tree(inputs))
            return results.flat(found), residuals.flat(kept)

        def backward(inputs, kept, cotangents):
            found = self._backward(
                structure.tree(inputs), residuals.tree(kept), results.tree(cotangents)
            )
            return structure.flat(found)

        def plain(inputs):
            return forward(inputs)[0]

        run = self.backend.differentiable(forward, backward, set(), plain)
        return results.tree(run(structure.flat(given)))

    def _kept(self, given):
        """A tree as that of what is kept, with anything in the place of tensors."""
        states = dict.fromkeys(given.states, True)
        of_segment = {
            # Where the outputs are wanted, they are there for the way back too.
            "outputs": (self.keep and not self.sequences) or None,
            "kept": self.segment.kept,
        }
        _, rest = self._split(given.sequences)
        return {
            "outputs": (self.keep and self.sequences) or None,
            "segments": {**of_segment, "states": states},
            "end": of_segment if _some(rest) else None,
            "behind": states,
        }

    def _split(self, x):
        """Number of whole segments, and of the steps behind them."""
        steps = length(x)
        if isinstance(steps, int):
            return steps // self.steps, steps % self.steps
        # XLA compiles no loop over an empty list, so a step at least stays behind.
        whole = (steps - 1) // self.steps
        return whole, steps - whole * self.steps

    def _forward(self, given):
        whole, rest = self._split(given.sequences)

        def run(start, steps, states):
            found = self.segment.run(self._part(given, start, steps, states))
            of_segment = {"states": states, "kept": found.kept}
            return found.states, {"outputs": found.outputs, **of_segment}

        behind, segments = self.backend.scan(
            lambda states, i: run(i * self.steps, self.steps, states),
            given.states,
            self.backend.counter(whole),
            whole,
            self._segment_outputs(given.states),
        )
        last, end = behind, {}
        if _some(rest):
            last, end = run(whole * self.steps, rest, behind)
        outputs = None
        if self.sequences:
            outputs = self._joined(segments["outputs"], end.get("outputs"))
        kept = {"outputs": outputs, "segments": segments, "end": end, "behind": behind}
        return LoopResults(outputs, {}, last), kept

    def _segment_outputs(self, states):
        """What each segment gives."""
        batch, width = ops.shape(next(iter(states.values())))

        def steps(width, loose=True):
            return StepOutput((self.steps, batch, width), loose=loose)

        found = {
            "states": {
                name: StepOutput(tuple(ops.shape(state)), loose=True)
                for name, state in states.items()
            }
        }
        if self.keep or self.sequences:
            found["outputs"] = steps(width, loose=not self.sequences)
        if self.keep:
            found["kept"] = _trees.mapped(steps, self.segment.kept)
        return found

    def _backward(self, given, kept, cotangents):
        whole, rest = self._split(given.sequences)

        def back(start, steps, of_segment, states, carry):
            def part(tensor):
                return None if tensor is None else self._steps(tensor, start, steps)

            of_run = None
            if self.keep:
                outputs = part(kept["outputs"])
                outputs = of_segment["outputs"] if outputs is None else outputs
                of_run = {"outputs": outputs, **of_segment["kept"]}
            found = self.segment.gradients(
                self._part(given, start, steps, states),
                of_run,
                SegmentResults(part(cotangents.outputs), carry["states"]),
            )
            sums = _added(carry["sums"], _summed(found))
            return {"states": found.states, "sums": sums}, found.sequences

        def step(carry, at):
            i, of_segment = at
            return back(
                i * self.steps, self.steps, of_segment, of_segment["states"], carry
            )

        sums = _trees.mapped(ops.zeros_like, _summed(given))
        carry, end = {"states": cotangents.states, "sums": sums}, None
        if _some(rest):
            carry, end = back(
                whole * self.steps, rest, kept["end"], kept["behind"], carry
            )
        batch, features = ops.shape(given.sequences)[0], given.sequences.shape[2]
        carry, d_x = self.backend.scan(
            step,
            carry,
            (self.backend.counter(whole), kept["segments"]),
            whole,
            StepOutput((self.steps, batch, features)),
            reverse=True,
        )
        return dataclasses.replace(
            given,
            sequences=self._joined(d_x, end),
            states=carry["states"],
            **carry["sums"],
            input_mask=None,
            whole=None,
            by_step=None,
        )

    def _part(self, given, start, steps, states):
        """The tensors of a segment, with time first."""

        def part(tensor):
            return self._steps(tensor, start, steps)

        return dataclasses.replace(
            given,
            sequences=part(given.sequences),
            states=states,
            by_step=_trees.mapped(part, given.by_step),
        )

    def _steps(self, tensor, start, steps):
        """Steps of a tensor `(batch, time, ...)`, time first."""
        part = self.backend.steps_of(tensor, start, steps)
        return ops.transpose(part, (1, 0, 2))

    def _joined(self, stack, rest):
        """`(batch, time, ...)` from `(segments, steps, batch, ...)` and the rest."""
        batch, features = ops.shape(stack)[2:]
        joined = ops.reshape(ops.transpose(stack, (2, 0, 1, 3)), (batch, -1, features))
        if rest is None:
            return joined
        return self.backend.concatenate([joined, ops.transpose(rest, (1, 0, 2))], 1)


def _summed(given):
    """The tensors whose gradients are sums over segments."""
    return {"weights": given.weights, "vectors": given.vectors}


def _added(sums, found):
    structure = _trees.Structure(sums)
    pairs = zip(structure.flat(sums), structure.flat(found))
    return structure.tree(a if b is None else a + b for a, b in pairs)


def length(x: Any, axis: int = 1) -> Any:
    """Number of steps of `x`: an int, or a tensor where not known."""
    return x.shape[axis] if isinstance(x.shape[axis], int) else ops.shape(x)[axis]


def _some(rest):
    """Whether there may be steps: their number is not always known beforehand."""
    return not isinstance(rest, int) or rest > 0
