"""The recurrence of a cell whose steps are normalized over the units.

Autodiff of a step would repeat all sums over units. Here a forward step computes only
variances, see `centered.py`, and a backward step uses the formula for their gradient,
see `step_back.py`.
"""

from __future__ import annotations

import functools
import operator

from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells._base.layout import SUM
from keras_rnnx.cells._base.normalization import EPSILON, exact
from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.cells._base.tensors import Parts, StepContext, StepVectors
from keras_rnnx.engine.backends.protocol import (
    Backend,
    DType,
    Length,
    Tensor,
    Tensors,
    Tree,
)
from keras_rnnx.engine.loop.normalized.centered import (
    NormalizedTensors,
    inputs_gradient,
    kernel_gradients,
)
from keras_rnnx.engine.loop.normalized.step_back import NormalizedStepBack
from keras_rnnx.engine.loop.tensors import NO_GRADIENT, LoopResults, StepOutput
from keras_rnnx.engine.loop.time_loop import LoopOptions, TimeLoop


class NormalizedRecurrence(TimeLoop):
    """The loop over time of one normalized cell, with a separate block for each gate.

    The arguments are those of `TimeLoop`.
    """

    def __init__(self, program: CellProgram, backend: Backend, options: LoopOptions):
        super().__init__(program, backend, options)
        self.gates = list(program.layout.gates)
        normalization = program.normalization
        assert normalization is not None and normalization.groups is not None
        self.groups = normalization.groups
        self.n_states = normalization.states
        states, units = program.states, program.units
        self.kept: dict[str, Tree] = {
            "outputs": states[program.output],
            "states": {k: states[k] for k in self.states_before},
        }
        if not options.states_only:
            factors = dict.fromkeys(range(len(self.groups)), 1)
            self.kept |= {
                "standard": dict.fromkeys(range(self.n_states), units),
                "products": dict.fromkeys(self.gates, units),
                "factors": {
                    "inputs": factors,
                    "products": factors,
                    "states": dict.fromkeys(range(self.n_states), 1),
                },
                "inputs": dict.fromkeys(self.gates, units),
            }

    @staticmethod
    def takes(program: CellProgram) -> bool:
        """Whether this recurrence can run the cell: one with moments of each sample,
        without late gates."""
        normalization = program.normalization
        if not normalization or normalization.groups is None:
            return False
        late = program.layout.late_gates
        return program.even and not (late or program.gradient_flow)

    def forward(
        self, length: Length, tensors: NormalizedTensors, keep: bool
    ) -> tuple[LoopResults, Tree]:
        program = self.program
        side_by_side = self.backend.concatenate(list(tensors.matrices.values()), 1)

        def step(
            states: dict[str, Tensor], at: dict[str, Tree]
        ) -> tuple[dict[str, Tensor], dict[str, Tree]]:
            context = self.context(tensors, at["by_step"])
            u = program.masked(states[program.output], context) @ side_by_side
            u = dict(zip(self.gates, ops.split(u, len(self.gates), axis=-1)))
            new, standard, factors = self.step(states, at["x"], u, tensors, context)
            outputs_and_states = {"outputs": new[program.output], "states": states}
            return new, {
                **outputs_and_states,
                "standard": standard,
                "products": u,
                "factors": factors,
            }

        x = {k: tensors.sequences @ kernel for k, kernel in tensors.kernels.items()}
        last, stacks = self.scan(
            step,
            tensors.states,
            {"x": x, "by_step": tensors.by_step},
            length,
            self._step_outputs(tensors.states[program.output], keep),
        )
        outputs = stacks["outputs"] if self.sequences else None
        if not keep:
            return LoopResults(outputs, {}, last), None
        if not self.options.states_only:
            stacks["inputs"] = x
        return LoopResults(outputs, {}, last), stacks

    def _step_outputs(self, state: Tensor, keep: bool) -> dict[str, Tree]:
        """Describes the tensors that a forward step returns."""
        batch = ops.shape(state)[0]
        if not keep:
            output = StepOutput((batch, self.kept["outputs"]))
            return {"outputs": output} if self.sequences else {}

        def wide(width: int) -> StepOutput:
            return StepOutput((batch, width), loose=self.loose)

        def narrow(width: int) -> StepOutput:
            return StepOutput((batch, width), exact(state).dtype)

        wanted: dict[str, Tree] = {
            name: {k: wide(width) for k, width in self.kept[name].items()}
            for name in ("states", "standard", "products")
            if name in self.kept
        }
        wanted["outputs"] = StepOutput((batch, self.kept["outputs"]))
        if "factors" in self.kept:
            wanted["factors"] = {
                part: {i: narrow(width) for i, width in widths.items()}
                for part, widths in self.kept["factors"].items()
            }
        return wanted

    def step(
        self,
        states: dict[str, Tensor],
        x: dict[str, Tensor],
        u: dict[str, Tensor],
        tensors: NormalizedTensors,
        context: StepContext,
    ) -> tuple[dict[str, Tensor], dict[int, Tensor], dict[str, dict[int, Tensor]]]:
        """A step, or all steps.

        Args:
            states: before the step.
            x: the products of the kernels with the inputs, by gate.
            u: the products of the matrices with the output, by gate.
            tensors: the tensors of the loop.
            context: of the step.

        Returns:
            The states after the step; the normalized states; and the factors of the
            normalization of inputs, products and states.
        """
        of_x, of_u = self._factors(x), self._factors(u)
        standard: dict[int, Tensor] = {}
        of_states: dict[int, Tensor] = {}

        def norm(state: Tensor) -> Tensor:
            values, i = exact(state), len(standard)
            values = values - self.mean(values)
            of_states[i] = self._factor(values)
            standard[i] = ops.cast(values * of_states[i], state.dtype)
            return self.state_read(standard[i], tensors)

        read = self.read(x, of_x, u, of_u, tensors)
        new = self.program.update(states, read, tensors.vectors, context, norm)
        factors = {"inputs": of_x, "products": of_u, "states": of_states}
        return new, standard, factors

    def state_read(self, standard: Tensor, tensors: NormalizedTensors) -> Tensor:
        """A standardized state as the equation reads it."""
        return standard * tensors.vectors.state_scale + tensors.vectors.state_offset

    def read(
        self,
        x: dict[str, Tensor],
        of_x: dict[int, Tensor],
        u: dict[str, Tensor],
        of_u: dict[int, Tensor],
        tensors: NormalizedTensors,
    ) -> dict[str, Tensor | Parts]:
        """The values that the equation reads from each gate: a sum, or its two parts.

        Args:
            x, u, tensors: as for `step`.
            of_x, of_u: the factors of the groups.
        """
        vectors = tensors.vectors
        gates: dict[str, Tensor | Parts] = {}
        by_x, by_u = self._of_gates(of_x), self._of_gates(of_u)
        for k, gate in self.program.layout.gates.items():
            a = _scaled(x[k], by_x[k], tensors.scales[k], tensors.biases.get(k))
            b = _scaled(u[k], by_u[k], vectors.scale[k], vectors.bias.get(k))
            gates[k] = a + b if gate.reads == SUM else Parts(a, b)
        return gates

    def _factors(self, parts: dict[str, Tensor]) -> dict[int, Tensor]:
        """The factors that give the parts of each group's gates variance 1."""
        return {
            i: self._factor(*(parts[k] for k in group))
            for i, group in enumerate(self.groups)
        }

    def _factor(self, *parts: Tensor) -> Tensor:
        squares = [exact(v) * exact(v) for v in parts]
        return self.backend.rsqrt(self.mean(*squares) + EPSILON)

    def mean(self, *tensors: Tensor) -> Tensor:
        """The mean over all units of all tensors."""
        # They are added first, so that a single tensor is summed over units.
        mean = self.backend.over_units(functools.reduce(operator.add, tensors))
        return mean if len(tensors) == 1 else mean / len(tensors)

    def _of_gates(self, of_groups: dict[int, Tensor]) -> dict[str, Tensor]:
        """The values of the groups, by gate."""
        groups = enumerate(self.groups)
        return {k: of_groups[i] for i, group in groups for k in group}

    def _residuals(
        self,
        length: Length,
        tensors: NormalizedTensors,
        kept: dict[str, Tree],
        context: StepContext,
    ) -> tuple[Tensor, dict[str, Tree]]:
        """The output before each step, and the tensors that the backward loop reads."""
        program, states = self.program, kept["states"]
        h = self.before(length, tensors.states[program.output], kept["outputs"])
        states = {k: states.get(k, h) for k in program.states}
        if not self.options.states_only:
            names = ("standard", "products", "factors", "inputs")
            return h, {"states": states, **{name: kept[name] for name in names}}
        masked = program.masked(h, context)
        x = {k: tensors.sequences @ kernel for k, kernel in tensors.kernels.items()}
        u = {k: masked @ matrix for k, matrix in tensors.matrices.items()}
        _, standard, factors = self.step(states, x, u, tensors, context)
        recomputed = {
            "standard": standard,
            "products": u,
            "factors": factors,
            "inputs": x,
        }
        return h, {"states": states, **recomputed}

    def backward(
        self,
        length: Length,
        tensors: NormalizedTensors,
        kept: dict[str, Tree],
        cotangents: LoopResults,
    ) -> NormalizedTensors:
        program, context = self.program, self.context(tensors, tensors.by_step)
        h, of_steps = self._residuals(length, tensors, kept, context)
        step = NormalizedStepBack(self, tensors, cotangents.outputs is not None)
        derivatives = None
        if self.backend.EAGER:
            derivatives = step.derivatives(of_steps, context)
        last, stacks = self.scan(
            step,
            {"states": cotangents.states, "sums": step.sums(tensors.states)},
            {
                **of_steps,
                "by_step": tensors.by_step,
                "output": cotangents.outputs,
                "derivatives": derivatives,
            },
            length,
            step.outputs(tensors.states[program.output]),
            reverse=True,
        )
        return self._gradients(
            tensors, of_steps, program.masked(h, context), last, stacks
        )

    def _gradients(
        self,
        tensors: NormalizedTensors,
        of_steps: dict[str, Tree],
        source: Tensor,
        last: dict[str, Tree],
        stacks: dict[str, Tree],
    ) -> NormalizedTensors:
        """Gradients of the tensors, from the last carry and the outputs of the steps.

        Args:
            source: the vectors that the matrices multiplied.
        """
        layout = self.program.layout
        of_x, of_u = {}, {}
        for k, value in stacks["gates"].items():
            of_x[k], of_u[k] = value if isinstance(value, Parts) else (value, value)
        inputs, factors, outer = (
            tensors.sequences,
            of_steps["factors"],
            self.backend.outer,
        )
        d_inputs: Tensors = []
        d_kernels: dict[str, Tensor] = {}
        d_matrices: dict[str, Tensor] = {}
        d_scales: dict[str, Tensor] = {}
        of_products: dict[str, Tensor] = {}
        for i, group in enumerate(self.groups):

            def of_group(
                by_gate: dict[str, Tensor], group: tuple[str, ...] = group
            ) -> Tensors:
                return [by_gate[k] for k in group]

            d = of_group(of_x)
            part = (
                of_group(tensors.kernels),
                of_group(tensors.scales),
                factors["inputs"][i],
            )
            products = of_group(of_steps["inputs"])
            d_input, share = inputs_gradient(inputs, *part, d, products)
            d_inputs.append(d_input)
            gradients, scales = kernel_gradients(inputs, *part, share, d, outer)
            d_kernels |= zip(group, gradients)
            d_scales |= zip(group, scales)
            part = (
                of_group(tensors.matrices),
                of_group(tensors.vectors.scale),
                factors["products"][i],
            )
            share = stacks["shares"][i]
            gradients, scales = kernel_gradients(
                source, *part, share, of_group(of_u), outer
            )
            d_matrices |= zip(group, gradients)
            of_products |= zip(group, scales)
        vectors = _narrowed(last["sums"], source.dtype)
        vectors.scale = {k: of_products[k] for k in layout.gates}
        vectors.bias = {k: self.backend.total(of_u[k]) for k in tensors.vectors.bias}
        return NormalizedTensors(
            sequences=functools.reduce(operator.add, d_inputs),
            kernels=d_kernels,
            matrices=d_matrices,
            scales=d_scales,
            biases={k: self.backend.total(of_x[k]) for k in tensors.biases},
            vectors=vectors,
            states=last["states"],
            whole=NO_GRADIENT,
            by_step=NO_GRADIENT,
        )


def _scaled(
    values: Tensor, factor: Tensor, scale: Tensor, bias: Tensor | None
) -> Tensor:
    values = ops.cast(exact(values) * factor, values.dtype) * scale
    return values if bias is None else values + bias


def _narrowed(sums: StepVectors, dtype: DType) -> StepVectors:
    """Sums over the samples, in the precision of the states."""
    return _trees.mapped(lambda total: ops.cast(ops.sum(total, axis=0), dtype), sums)
