"""One step back in time of a normalized recurrence.

The sums over units are left to the formula for the gradient of a normalization. What
remains of the equation is elementwise.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from typing import Any

from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells._base.normalization import exact
from keras_rnnx.cells._base.tensors import Parts, StepContext, StepVectors
from keras_rnnx.engine.loop.normalized.centered import NormalizedTensors
from keras_rnnx.engine.loop.tensors import StepOutput


class NormalizedStepBack:
    """One step of the loop back in time.

    Args:
        recurrence: the `NormalizedRecurrence`.
        given: its tensors.
        shown: whether there are cotangents of outputs.
    """

    def __init__(self, recurrence: Any, given: NormalizedTensors, shown: bool):
        self.recurrence, self.program = recurrence, recurrence.program
        self.given, self.shown = given, shown
        self.layout = self.program.layout
        self.normalized = range(recurrence.n_states)
        matrices = [ops.transpose(matrix) for matrix in given.matrices.values()]
        self.back = recurrence.backend.concatenate(matrices, 0)

    def sums(self, states: dict[str, Any]) -> StepVectors:
        """Where sums over steps start, for each sample: zeros.

        Args:
            states: the first states.
        """
        zeros = ops.zeros_like(exact(states[self.program.output]))
        of_states = zeros if self.normalized else None
        own = dict.fromkeys(self.given.vectors.own, zeros)
        return StepVectors(own, state_scale=of_states, state_offset=of_states)

    def outputs(self, state: Any) -> dict[str, Any]:
        """The tensors that a step gives.

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

    def derivatives(self, of_steps: dict[str, Any], context: StepContext) -> dict:
        """Those of the equation at all steps at once, to be given to each step.

        Where every operation is a call, they save going through the equation in each.

        Args:
            of_steps: what the steps of the loop read.
            context: of all steps.

        Returns:
            By the number of a result of the equation its derivatives for all inputs;
            None for zero.
        """
        equation = _Equation(self, of_steps, context)
        ones = ops.ones_like(of_steps["states"][self.program.output])
        found = {}
        for i in range(equation.n_results):
            cotangents = [None] * equation.n_results
            cotangents[i] = ones
            row = equation.pull(cotangents, range(equation.structure.size))
            found[i] = equation.structure.tree(row)
        return found

    def __call__(self, carry: dict, at: dict) -> tuple[dict, dict]:
        """The step.

        Args:
            carry: "states", their cotangents, and "sums" of the gradients of vectors.
            at: of the step, what `NormalizedRecurrence` read and kept; the context as
                "by_step", the cotangent of the output as "output", and "derivatives".

        Returns:
            The carry before the step; the gradients of what is read of the gates, and
            by group the share that is taken out of those of the products.
        """
        program, output = self.program, self.program.output
        context = self.recurrence.context(self.given, at["by_step"])
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
        # A state that is normalized may depend on one that was before.
        for i in reversed(self.normalized):
            (d,) = equation.some(cotangents, [equation.positions["normalized"][i]])
            standard, factor = at["standard"][i], at["factors"]["states"][i]
            sums.state_scale = sums.state_scale + exact(d) * exact(standard)
            sums.state_offset = sums.state_offset + exact(d)
            d = d * self.given.vectors.state_scale
            cotangents[len(after) + i] = self._before_state(d, standard, factor)
        rest = {k: equation.positions[k] for k in ("states", "gates", "own")}
        structure = _trees.Structure(rest)
        found = structure.tree(equation.some(cotangents, structure.flat(rest)))
        sums.own = {k: total + exact(found["own"][k]) for k, total in sums.own.items()}
        of_products, shares = self._before_products(found["gates"], at)
        dtype = after[output].dtype
        joined = [ops.cast(of_products[k], dtype) for k in self.layout.gates]
        d_h = self.recurrence.backend.concatenate(joined, -1) @ self.back
        before = found["states"]
        before[output] = before[output] + program.masked(d_h, context)
        given = {"gates": found["gates"], "shares": shares}
        return {"states": before, "sums": sums}, given

    def _before_products(self, d_gates, at):
        """The gradients of the products by gate, and the shares taken out by group."""
        values = {k: exact(u) for k, u in at["products"].items()}
        scales, found, shares, d = self.given.vectors.scale, {}, {}, {}
        for k, value in d_gates.items():
            value = value.product if isinstance(value, Parts) else value
            d[k] = exact(value) * exact(scales[k])
        for i, group in enumerate(self.recurrence.groups):
            factor = at["factors"]["products"][i]
            along = self.recurrence.mean(*(d[k] * values[k] for k in group))
            shares[i] = along * factor * factor * factor
            for k in group:
                found[k] = d[k] * factor - values[k] * shares[i]
        return found, shares

    def _before_state(self, d, standard, factor):
        """The gradient of a state, from that of the same with mean 0 and variance 1."""
        dtype, d, standard = d.dtype, exact(d), exact(standard)
        mean = self.recurrence.mean
        taken = mean(d) + standard * mean(d * standard)
        return ops.cast((d - taken) * factor, dtype)


class _Equation:
    """The equation at a step, or at all steps, and its vector-Jacobian product.

    Its inputs are the "normalized" states that it reads, the "states" before, what it
    reads of the "gates", and its "own" vectors; its results the new states, and those
    that it normalizes.
    """

    def __init__(self, step, at, context):
        recurrence, program, given = step.recurrence, step.program, step.given
        factors, states = at["factors"], at["states"]
        shape = ops.shape(states[program.output])
        tree = {
            "normalized": {
                i: recurrence.state_read(standard, given)
                for i, standard in at["standard"].items()
            },
            "states": states,
            "gates": recurrence.read(
                at["inputs"],
                factors["inputs"],
                at["products"],
                factors["products"],
                given,
            ),
            "own": {
                k: ops.broadcast_to(v, shape) for k, v in given.vectors.own.items()
            },
        }
        self.structure = _trees.Structure(tree)
        self.positions = self.structure.positions()
        self.n_results = len(states) + len(step.normalized)

        def equation(leaves):
            inputs, normalized = self.structure.tree(leaves), []

            def norm(state):
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

    def some(self, cotangents, positions):
        """The gradients of the inputs at some positions."""
        found = self.pull(cotangents, positions)
        return [ops.zeros_like(self.like) if d is None else d for d in found]


class _KnownEquation:
    """The same from derivatives that are known."""

    def __init__(self, step, at):
        gates = {
            k: 0 if gate.reads == "sum" else Parts(0, 0)
            for k, gate in step.layout.gates.items()
        }
        tree = {
            "normalized": dict.fromkeys(step.normalized, 0),
            "states": dict.fromkeys(at["states"], 0),
            "gates": gates,
            "own": dict.fromkeys(step.given.vectors.own, 0),
        }
        self.structure = _trees.Structure(tree)
        self.positions = self.structure.positions()
        self.rows = [self.structure.flat(row) for row in at["derivatives"].values()]
        self.like = at["states"][step.program.output]

    def some(self, cotangents, positions):
        """The gradients of the inputs at some positions."""
        found = []
        for position in positions:
            terms = [
                row[position] * cotangent
                for row, cotangent in zip(self.rows, cotangents)
                if cotangent is not None and row[position] is not None
            ]
            found.append(
                functools.reduce(operator.add, terms)
                if terms
                else ops.zeros_like(self.like)
            )
        return found
