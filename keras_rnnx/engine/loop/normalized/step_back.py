"""One step back in time of a normalized recurrence.

The formula for the gradient of a normalization does the sums over units. The rest of
the equation is elementwise.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells._base.normalization import exact
from keras_rnnx.cells._base.tensors import Parts, StepContext, StepVectors
from keras_rnnx.engine.backends.protocol import Cotangents, Tensor, Tensors, Tree
from keras_rnnx.engine.loop.normalized.centered import NormalizedTensors
from keras_rnnx.engine.loop.tensors import StepOutput

if TYPE_CHECKING:
    from keras_rnnx.engine.loop.normalized.recurrence import NormalizedRecurrence


class NormalizedStepBack:
    """One step of the loop back in time.

    Args:
        recurrence: the `NormalizedRecurrence`.
        tensors: its `NormalizedTensors`.
        shown: whether there are cotangents of outputs.
    """

    def __init__(
        self,
        recurrence: NormalizedRecurrence,
        tensors: NormalizedTensors,
        shown: bool,
    ):
        self.recurrence, self.program = recurrence, recurrence.program
        self.tensors, self.shown = tensors, shown
        self.layout = self.program.layout
        self.normalized = range(recurrence.n_states)
        matrices = [ops.transpose(matrix) for matrix in tensors.matrices.values()]
        self.back = recurrence.backend.concatenate(matrices, 0)

    def sums(self, states: dict[str, Tensor]) -> StepVectors:
        """The start of sums over steps, for each sample: zeros.

        Args:
            states: the first states.
        """
        zeros = ops.zeros_like(exact(states[self.program.output]))
        of_states = zeros if self.normalized else None
        of_vectors = dict.fromkeys(self.tensors.vectors.own, zeros)
        return StepVectors(of_vectors, state_scale=of_states, state_offset=of_states)

    def outputs(self, state: Tensor) -> dict[str, Tree]:
        """Describes the tensors that a step returns.

        Args:
            state: the first state.
        """
        batch, units = ops.shape(state)
        wide, narrow = (
            StepOutput((batch, units)),
            StepOutput((batch, 1), exact(state).dtype),
        )
        return {
            "gates": {
                k: wide if gate.reads == "sum" else Parts(wide, wide)
                for k, gate in self.layout.gates.items()
            },
            "shares": dict.fromkeys(range(len(self.recurrence.groups)), narrow),
        }

    def derivatives(
        self, of_steps: dict[str, Tree], context: StepContext
    ) -> dict[int, Tree]:
        """The derivatives of the equation at all steps at once.

        On an eager backend they save a vector-Jacobian product in every step.

        Args:
            of_steps: the tensors that the steps of the loop read.
            context: of all steps.

        Returns:
            For each result of the equation, by its number, the derivatives with respect
            to all inputs; None for zero.
        """
        equation = _Equation(self, of_steps, context)
        ones = ops.ones_like(of_steps["states"][self.program.output])
        derivatives = {}
        for i in range(equation.n_results):
            cotangents = [None] * equation.n_results
            cotangents[i] = ones
            row = equation.pull(cotangents, range(equation.structure.size))
            derivatives[i] = equation.structure.tree(row)
        return derivatives

    def __call__(
        self, carry: dict[str, Tree], at: dict[str, Tree]
    ) -> tuple[dict[str, Tree], dict[str, Tree]]:
        """The step.

        Args:
            carry: "states", their cotangents, and "sums" of the gradients of vectors.
            at: the slices of the step: the tensors that `NormalizedRecurrence` read and
                kept, the context as "by_step", the cotangent of the output as "output",
                and "derivatives".

        Returns:
            The carry before the step; the gradients of the gates, and for each group
            the share of the products that their gradients lose.
        """
        program, output = self.program, self.program.output
        context = self.recurrence.context(self.tensors, at["by_step"])
        after, sums = dict(carry["states"]), carry["sums"]
        if self.shown:
            after[output] = after[output] + at["output"]
        equation: _Equation | _KnownEquation
        if at["derivatives"] is None:
            equation = _Equation(self, at, context)
        else:
            equation = _KnownEquation(self, at)
        sums = dataclasses.replace(sums)
        cotangents = [*after.values(), *[None] * len(self.normalized)]
        # A normalized state may depend on one that was normalized before.
        for i in reversed(self.normalized):
            (d,) = equation.some(cotangents, [equation.positions["normalized"][i]])
            standard, factor = at["standard"][i], at["factors"]["states"][i]
            sums.state_scale = sums.state_scale + exact(d) * exact(standard)
            sums.state_offset = sums.state_offset + exact(d)
            d = d * self.tensors.vectors.state_scale
            cotangents[len(after) + i] = self._before_state(d, standard, factor)
        others = {k: equation.positions[k] for k in ("states", "gates", "own")}
        structure = _trees.Structure(others)
        gradients = structure.tree(equation.some(cotangents, structure.flat(others)))
        sums.own = {
            k: total + exact(gradients["own"][k]) for k, total in sums.own.items()
        }
        of_products, shares = self._before_products(gradients["gates"], at)
        dtype = after[output].dtype
        joined = [ops.cast(of_products[k], dtype) for k in self.layout.gates]
        d_h = self.recurrence.backend.concatenate(joined, -1) @ self.back
        before = gradients["states"]
        before[output] = before[output] + program.masked(d_h, context)
        outputs = {"gates": gradients["gates"], "shares": shares}
        return {"states": before, "sums": sums}, outputs

    def _before_products(
        self, d_gates: dict[str, Tensor | Parts], at: dict[str, Tree]
    ) -> tuple[dict[str, Tensor], dict[int, Tensor]]:
        """The gradients of the products by gate, and the lost shares by group."""
        values = {k: exact(u) for k, u in at["products"].items()}
        scales, gradients, shares, d = self.tensors.vectors.scale, {}, {}, {}
        for k, value in d_gates.items():
            value = value.product if isinstance(value, Parts) else value
            d[k] = exact(value) * exact(scales[k])
        for i, group in enumerate(self.recurrence.groups):
            factor = at["factors"]["products"][i]
            along = self.recurrence.mean(*(d[k] * values[k] for k in group))
            shares[i] = along * factor * factor * factor
            for k in group:
                gradients[k] = d[k] * factor - values[k] * shares[i]
        return gradients, shares

    def _before_state(self, d: Tensor, standard: Tensor, factor: Tensor) -> Tensor:
        """The gradient of a state, from that of the standardized state."""
        dtype, d, standard = d.dtype, exact(d), exact(standard)
        mean = self.recurrence.mean
        removed = mean(d) + standard * mean(d * standard)
        return ops.cast((d - removed) * factor, dtype)


class _Equation:
    """The equation at a step, or at all steps, and its vector-Jacobian product.

    Its inputs are the "normalized" states that it reads, the "states" before, the
    values of the "gates", and its "own" vectors. Its results are the new states, and
    the states that it normalizes.
    """

    def __init__(
        self, step: NormalizedStepBack, at: dict[str, Tree], context: StepContext
    ):
        recurrence, program, tensors = step.recurrence, step.program, step.tensors
        factors, states = at["factors"], at["states"]
        shape = ops.shape(states[program.output])
        tree = {
            "normalized": {
                i: recurrence.state_read(standard, tensors)
                for i, standard in at["standard"].items()
            },
            "states": states,
            "gates": recurrence.read(
                at["inputs"],
                factors["inputs"],
                at["products"],
                factors["products"],
                tensors,
            ),
            "own": {
                k: ops.broadcast_to(v, shape) for k, v in tensors.vectors.own.items()
            },
        }
        self.structure = _trees.Structure(tree)
        self.positions = self.structure.positions()
        self.n_results = len(states) + len(step.normalized)

        def equation(leaves: Tensors) -> Tensors:
            inputs, normalized = self.structure.tree(leaves), []

            def norm(state: Tensor) -> Tensor:
                normalized.append(state)
                return inputs["normalized"][len(normalized) - 1]

            vectors = StepVectors(inputs["own"])
            new = program.update(
                inputs["states"], inputs["gates"], vectors, context, norm
            )
            return [*new.values(), *normalized]

        self.inputs = self.structure.flat(tree)
        self.like = states[program.output]
        _, self.pull = recurrence.backend.pullback(equation, self.inputs)

    def some(self, cotangents: Cotangents, positions: Sequence[int]) -> Tensors:
        """The gradients of the inputs at some positions."""
        gradients = self.pull(cotangents, positions)
        return [ops.zeros_like(self.like) if d is None else d for d in gradients]


class _KnownEquation:
    """An `_Equation` whose derivatives are already known."""

    def __init__(self, step: NormalizedStepBack, at: dict[str, Tree]):
        gates = {
            k: 0 if gate.reads == "sum" else Parts(0, 0)
            for k, gate in step.layout.gates.items()
        }
        tree = {
            "normalized": dict.fromkeys(step.normalized, 0),
            "states": dict.fromkeys(at["states"], 0),
            "gates": gates,
            "own": dict.fromkeys(step.tensors.vectors.own, 0),
        }
        self.structure = _trees.Structure(tree)
        self.positions = self.structure.positions()
        self.rows = [self.structure.flat(row) for row in at["derivatives"].values()]
        self.like = at["states"][step.program.output]

    def some(self, cotangents: Cotangents, positions: Sequence[int]) -> Tensors:
        """The gradients of the inputs at some positions."""
        gradients = []
        for position in positions:
            terms = [
                row[position] * cotangent
                for row, cotangent in zip(self.rows, cotangents)
                if cotangent is not None and row[position] is not None
            ]
            gradients.append(
                functools.reduce(operator.add, terms)
                if terms
                else ops.zeros_like(self.like)
            )
        return gradients
