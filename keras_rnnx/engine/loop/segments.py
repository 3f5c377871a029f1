"""A long sequence in segments of time, so that less of it has to be in memory.

Between segments only the states are kept; what lies within one is kept in the compact
form that its engine asks for, or computed again on the way back (checkpointing, Chen
et al., 2016, arXiv:1604.06174). What is larger, such as the inputs' part of all gates,
exists for one segment at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from keras import ops

# Before the names of tensors of all segments alike that take no gradient.
NOISE = "noise "


class Segment:
    """How an engine computes one segment.

    Attributes:
        kept: number of tensors `(time, batch, width)` that `run` can keep.
        kept_widths: their widths, or None where they are as wide as the outputs.
    """

    kept = 0
    kept_widths: list[int] | None = None

    def run(
        self,
        x: Any,
        by_step: dict[str, Any],
        states: list,
        shared: dict[str, Any],
        keep: bool,
    ) -> tuple[Any, list, list]:
        """The segment from its first states.

        Args:
            x: inputs `(time, batch, features)`.
            by_step: what else there is for each step, `(time, batch, ...)`, by name.
            states: states before the segment, each `(batch, units)`.
            shared: weights, vectors and dropout masks, by name.
            keep: whether to keep tensors for `gradients`.

        Returns:
            Outputs `(time, batch, units)` or None if neither they nor `keep` are
            wanted; the last states; what is kept.
        """
        raise NotImplementedError

    def gradients(
        self,
        x: Any,
        by_step: dict[str, Any],
        states: list,
        shared: dict[str, Any],
        kept: list | None,
        cotangents: tuple[Any, list],
    ) -> tuple[Any, list, dict[str, Any]]:
        """Gradients of `x`, of the states and of what is shared.

        Args:
            x, by_step, states, shared: as for `run`.
            kept: the outputs and what `run` kept, or None to compute it again.
            cotangents: of the outputs, or None, and of the last states.
        """
        raise NotImplementedError


class Recomputed(Segment):
    """A segment whose gradients are those of a function, taken where they are needed.

    Args:
        function: from `x`, `by_step`, `states` and `shared` to outputs and last states.
        backend: one of the backend files of this package.
    """

    def __init__(self, function: Callable, backend: ModuleType):
        self.function = function
        self.backend = backend

    def run(self, x, by_step, states, shared, keep):
        return *self.function(x, by_step, states, shared), []

    def gradients(self, x, by_step, states, shared, kept, cotangents):
        names = [name for name in shared if not name.startswith(NOISE)]
        n = len(states)

        def call(inputs):
            weights = dict(zip(names, inputs[1 + n :]))
            outputs, last = self.function(
                inputs[0], by_step, inputs[1 : 1 + n], shared | weights
            )
            return [outputs, *last]

        inputs = [x, *states, *(shared[name] for name in names)]
        _, pull = self.backend.pullback(call, inputs)
        found = [
            ops.zeros_like(i) if d is None else d
            for i, d in zip(
                inputs, pull([cotangents[0], *cotangents[1]], range(len(inputs)))
            )
        ]
        return found[0], found[1 : 1 + n], dict(zip(names, found[1 + n :]))


class Segments:
    """Runs segment after segment, and back.

    Args:
        segment: how to compute one.
        backend: one of the backend files of this package.
        steps: steps of a segment; the last one may be shorter.
        sequences: whether the output of every step is wanted.
        keep: whether segments keep what their gradients need.
    """

    def __init__(
        self,
        segment: Segment,
        backend: ModuleType,
        steps: Any,
        sequences: bool,
        keep: bool,
    ):
        self.segment = segment
        self.backend = backend
        self.steps = steps
        self.sequences = sequences
        self.keep = keep

    def __call__(
        self, x: Any, by_step: dict[str, Any], states: list, shared: dict[str, Any]
    ) -> tuple[Any, list]:
        """Runs the sequence.

        Args:
            x: inputs `(batch, time, features)`.
            by_step: what else there is for each step, `(batch, time, ...)`, by name.
            states, shared: as for `Segment.run`.

        Returns:
            Outputs `(batch, time, units)`, or None without `sequences`, and the last
            states.
        """
        names, n, m = list(shared), len(states), 1 + len(by_step)

        def given(inputs):
            beside, rest = dict(zip(by_step, inputs[1:m])), list(inputs[m:])
            return inputs[0], beside, rest[:n], dict(zip(names, rest[n:]))

        def forward(inputs):
            outputs, last, residuals = self._forward(*given(inputs))
            return [outputs] * self.sequences + list(last), residuals

        def backward(inputs, residuals, cotangents):
            outer = cotangents[0] if self.sequences else None
            d_x, d_states, d_shared = self._backward(
                *given(inputs), residuals, outer, cotangents[-n:]
            )
            d_shared = [d_shared.get(name) for name in names]
            return [d_x, *[None] * len(by_step), *d_states, *d_shared]

        def plain(inputs):
            return forward(inputs)[0]

        flat = [x, *by_step.values(), *states, *shared.values()]
        results = self.backend.differentiable(forward, backward, set(), plain)(flat)
        return results[0] if self.sequences else None, results[-n:]

    def _split(self, x):
        """Number of whole segments, and of the steps behind them."""
        steps = length(x)
        if isinstance(steps, int):
            return steps // self.steps, steps % self.steps
        # XLA compiles no loop over an empty list, so a step at least stays behind.
        whole = (steps - 1) // self.steps
        return whole, steps - whole * self.steps

    def _forward(self, x, by_step, states, shared):
        whole, rest = self._split(x)

        def run(start, steps, states):
            outputs, last, kept = self.segment.run(
                self._part(x, start, steps),
                {k: self._part(v, start, steps) for k, v in by_step.items()},
                states,
                shared,
                self.keep,
            )
            # Where the outputs are wanted, they are there for the way back too.
            kept = [outputs, *kept] if self.keep or self.sequences else []
            return list(last), [*kept, *states]

        n, shapes = len(states), self._shapes(states)
        behind, stacks = self.backend.scan(
            lambda carry, i: run(i[0] * self.steps, self.steps, carry),
            states,
            [self.backend.counter(whole)],
            whole,
            [k > 0 or not self.sequences for k in range(len(shapes))],
            shapes=shapes,
        )
        last, parts = behind, []
        if _some(rest):
            last, parts = run(whole * self.steps, rest, behind)
        outputs = []
        if self.sequences:
            outputs = [self._joined(stacks.pop(0), parts[:1])]
            parts = parts[1:]
        kept = [*stacks, *parts[:-n], *behind]
        if self.keep:
            kept = [*outputs, *kept]
        return outputs[0] if self.sequences else None, last, kept

    def _backward(self, x, by_step, states, shared, residuals, outer, d_last):
        whole, rest = self._split(x)
        names = [name for name in shared if not name.startswith(NOISE)]
        residuals = list(residuals)
        whole_outputs = self.keep and self.sequences
        outputs = residuals.pop(0) if whole_outputs else None
        n = len(states)
        m = (1 + self.segment.kept - whole_outputs) * self.keep
        stacks, residuals = residuals[: m + n], residuals[m + n :]
        parts, behind = residuals[:-n], residuals[-n:]

        def back(start, steps, kept, before, carry):
            def part(tensor):
                return None if tensor is None else self._part(tensor, start, steps)

            d_x, d_states, d_shared = self.segment.gradients(
                part(x),
                {k: part(v) for k, v in by_step.items()},
                before,
                shared,
                [*([part(outputs)] if whole_outputs else []), *kept] or None,
                (part(outer), carry[:n]),
            )
            sums = [a + d_shared[name] for a, name in zip(carry[n:], names)]
            return [*d_states, *sums], [d_x]

        def step(carry, slices):
            i, *slices = slices
            kept, before = slices[:m], slices[m:]
            return back(i * self.steps, self.steps, kept, before, carry)

        carry = [*d_last, *(ops.zeros_like(shared[name]) for name in names)]
        ends = []
        if _some(rest):
            carry, ends = back(whole * self.steps, rest, parts, behind, carry)
        carry, (d_x,) = self.backend.scan(
            step,
            carry,
            [self.backend.counter(whole), *stacks],
            whole,
            [False],
            reverse=True,
            shapes=[(self.steps, ops.shape(x)[0], x.shape[2])],
        )
        return self._joined(d_x, ends), carry[:n], dict(zip(names, carry[n:]))

    def _part(self, tensor, start, steps):
        """Steps of a tensor `(batch, time, ...)`, time first."""
        part = self.backend.steps_of(tensor, start, steps)
        return ops.transpose(part, (1, 0, 2))

    def _joined(self, stack, rest):
        """`(batch, time, ...)` from `(segments, steps, batch, ...)` and the rest."""
        batch, features = ops.shape(stack)[2:]
        joined = ops.reshape(ops.transpose(stack, (2, 0, 1, 3)), (batch, -1, features))
        if not rest:
            return joined
        return self.backend.concatenate([joined, ops.transpose(rest[0], (1, 0, 2))], 1)

    def _shapes(self, states):
        """Of what is stacked for each segment: sequences, then the states before it."""
        batch, width = ops.shape(states[0])
        long = [width] * int(self.keep or self.sequences)
        if self.keep:
            long += self.segment.kept_widths or [width] * self.segment.kept
        of_states = [tuple(ops.shape(state)) for state in states]
        return [(self.steps, batch, n) for n in long] + of_states


def length(x: Any, axis: int = 1) -> Any:
    """Number of steps of `x`: an int, or a tensor where not known."""
    return x.shape[axis] if isinstance(x.shape[axis], int) else ops.shape(x)[axis]


def _some(rest):
    """Whether there may be steps: their number is not always known beforehand."""
    return not isinstance(rest, int) or rest > 0
