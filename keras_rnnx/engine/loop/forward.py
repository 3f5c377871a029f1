"""A cell's recurrence over whole sequences, with a custom backward pass.

Autodiff through a loop adds a product to every weight gradient in every step. Here the
backward loop only computes the cotangents of states and gates, by the vector-Jacobian
product of the cell's equation. Each weight gradient is then a single product over all
steps: see `backward.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from keras import ops

from keras_rnnx.cells._base.layout import SUM
from keras_rnnx.cells._base.normalization import BatchNormalization
from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.engine import _precision
from keras_rnnx.engine.backends.protocol import Backend, Length, Tensor, Tree
from keras_rnnx.engine.loop.backward import StepBack
from keras_rnnx.engine.loop.products import Products
from keras_rnnx.engine.loop.tensors import (
    LoopGradients,
    LoopResults,
    LoopTensors,
    StepOutput,
)
from keras_rnnx.engine.loop.time_loop import LoopOptions, TimeLoop


class Recurrence(TimeLoop):
    """The loop over time of one cell, with a separate block for each gate.

    The arguments are those of `TimeLoop`.
    """

    def __init__(self, program: CellProgram, backend: Backend, options: LoopOptions):
        super().__init__(program, backend, options)
        # Gradients of vectors need all steps at once, so no separate pieces.
        if program.has_vectors:
            self.loose = False
        # In an XLA program a running sum is nearly free, while a pass over all steps
        # after the loop computes the equation again.
        self.sums_along = options.xla and program.has_vectors
        normalization = program.normalization
        if normalization and normalization.notes_moments and options.keep:
            # The moments of the inputs are recorded before the loop.
            self.moments = normalization.scopes[1:]
        self.kept = self._kept_widths()

    def keeps_sum(self, name: str) -> bool:
        """Whether the forward pass keeps the sum of both parts of a gate, instead of
        its product."""
        gate = self.program.layout.gates[name]
        return self.program.summed and gate.has_input and gate.reads == SUM

    def spared(self) -> set[str]:
        return {k for k in self.program.layout.product_gates if self.keeps_sum(k)}

    def _kept_widths(self) -> dict[str, Tree]:
        """The widths of the tensors that are kept of each step, by name."""
        layout, states = self.program.layout, self.program.states
        kept: dict[str, Tree] = {
            "outputs": states[self.program.output],
            "multiplied": {k: layout.gates[k].takes for k in layout.late_gates},
            "states": {k: states[k] for k in self.states_before},
        }
        if not self.options.states_only:
            kept["gates"] = {k: layout.gates[k].gives for k in layout.product_gates}
        return kept

    def forward(
        self, length: Length, tensors: LoopTensors, keep: bool
    ) -> tuple[LoopResults, Tree]:
        program = self.program
        tensors = _precision.rounded(tensors)
        multiply = self.products(tensors.matrices)
        # Only this one records moments.
        normalization = cast(BatchNormalization, program.normalization)

        def product(gate: str, values: Tensor) -> Tensor:
            bias = tensors.biases.get(gate)
            return values if bias is None else values + bias

        def step(
            states: dict[str, Tensor], at: dict[str, Tree]
        ) -> tuple[dict[str, Tensor], dict[str, Tree]]:
            context = self.context(tensors, at["by_step"])
            context.noted = {} if self.moments else None
            source = program.masked(states[program.output], context)
            products = {k: product(k, u) for k, u in multiply.each(source).items()}
            multiplied: dict[str, Tensor] = {}

            def late(gate: str) -> Callable[[Tensor], Tensor]:
                def call(vector: Tensor) -> Tensor:
                    multiplied[gate] = vector = _like(vector, source)
                    made = multiply.one(gate, program.masked(vector, context, gate))
                    products[gate] = product(gate, made)
                    return products[gate]

                return call

            functions = {k: late(k) for k in program.layout.late_gates}
            read = program.read(
                at["inputs"], products | functions, tensors.vectors, context
            )
            new = program.update(states, read, tensors.vectors, context)
            output = new[program.output]
            outputs: dict[str, Tree] = {
                "outputs": output,
                "multiplied": multiplied,
                "states": states,
            }
            outputs["gates"] = {
                k: read[k] if self.keeps_sum(k) else u for k, u in products.items()
            }
            if context.noted is not None:
                noted = normalization.gathered(context.noted, self.moments)
                outputs["moments"] = {
                    scope: ops.cast(moment, output.dtype)
                    for scope, moment in zip(self.moments, noted)
                }
            return new, outputs

        last, stacks = self.scan(
            step,
            tensors.states,
            {"inputs": tensors.inputs, "by_step": tensors.by_step},
            length,
            self._step_outputs(tensors.states[program.output], keep),
        )
        outputs = stacks["outputs"] if self.sequences else None
        moments = stacks.pop("moments", {})
        return LoopResults(outputs, moments, last), stacks if keep else None

    def _step_outputs(self, state: Tensor, keep: bool) -> dict[str, Tree]:
        """Describes the tensors that a forward step returns."""
        batch, normalization = ops.shape(state)[0], self.program.normalization
        wanted: dict[str, Tree] = {}
        if self.moments:
            assert isinstance(normalization, BatchNormalization)
            wanted["moments"] = {
                scope: StepOutput((1, 2 * normalization.width(scope)))
                for scope in self.moments
            }
        if not keep:
            if self.sequences:
                wanted["outputs"] = StepOutput((batch, self.kept["outputs"]))
            return wanted
        for name, widths in self.kept.items():
            if name == "outputs":
                wanted[name] = StepOutput((batch, widths))
                continue
            loose = self.loose and name in ("states", "gates")
            wanted[name] = {
                k: StepOutput((batch, width), loose=loose)
                for k, width in widths.items()
            }
        return wanted

    def products(self, matrices: dict[str, Tensor]) -> Products:
        """The products with matrices of the gates."""
        return Products(self.program.layout, matrices, self.backend, self.options.xla)

    def backward(
        self,
        length: Length,
        tensors: LoopTensors,
        residuals: Tree,
        cotangents: LoopResults,
    ) -> LoopGradients:
        back = StepBack(
            self, length, tensors, residuals, cotangents.outputs is not None
        )
        last, stacks = self.scan(
            back,
            {"states": cotangents.states, "sums": back.sums()},
            {
                **back.values,
                "by_step": tensors.by_step,
                "output": cotangents.outputs,
            },
            length,
            back.outputs(ops.shape(cotangents.states[self.program.output])[0]),
            reverse=True,
        )
        return back.gradients(last, stacks)


def _like(vector: Tensor, other: Tensor) -> Tensor:
    # Keras' activations give float32 for float64 on some backends.
    return vector if vector.dtype == other.dtype else ops.cast(vector, other.dtype)
