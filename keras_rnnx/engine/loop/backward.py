"""The backward loop of a `Recurrence`: its step, and the gradients after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import keras
from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells._base.layout import LATE
from keras_rnnx.cells._base.tensors import Parts, StepContext, StepVectors
from keras_rnnx.engine import _precision
from keras_rnnx.engine.backends.protocol import (
    Backend,
    Batch,
    Length,
    Tensor,
    Tensors,
    Tree,
)
from keras_rnnx.engine.loop import gradient_flow
from keras_rnnx.engine.loop.tensors import LoopGradients, LoopTensors, StepOutput

if TYPE_CHECKING:
    from keras_rnnx.engine.loop.forward import Recurrence


class StepBack:
    """One step of the loop back in time, and the computations before and after it.

    Args:
        recurrence: the `Recurrence`.
        length: number of steps.
        tensors: its `LoopTensors`.
        kept: the tensors that the forward pass kept.
        shown: whether there are cotangents of outputs.

    Attributes:
        values: "states", the states before each step, and "gates", the values that the
            equation reads from the gates, for all steps.
    """

    def __init__(
        self,
        recurrence: Recurrence,
        length: Length,
        tensors: LoopTensors,
        kept: dict[str, Tree],
        shown: bool,
    ):
        self.recurrence, self.backend = recurrence, recurrence.backend
        program = self.program = recurrence.program
        self.layout, self.shown = program.layout, shown
        self.vectors = tensors.vectors
        tensors = self.tensors = _precision.rounded(tensors)
        # The context with the masks of all steps.
        self.context = recurrence.context(tensors, tensors.by_step)
        before = dict(kept["states"])
        # The output before each step, from the outputs after each step.
        h = recurrence.before(length, tensors.states[program.output], kept["outputs"])
        before.setdefault(program.output, h)
        # The vector that each matrix multiplied.
        masked = program.masked(h, self.context)
        self.multiplied = dict.fromkeys(self.layout.early_gates, masked)
        self.multiplied |= {
            k: program.masked(vector, self.context, k)
            for k, vector in kept["multiplied"].items()
        }
        gates = kept["gates"] if "gates" in kept else self._gates_again()
        self.values = {
            "states": {k: before[k] for k in program.states},
            "gates": self._local(gates),
        }
        transposed = {
            k: ops.transpose(matrix) for k, matrix in tensors.matrices.items()
        }
        self.products = recurrence.products(transposed)
        # Gradients of vectors are summed in the loop, or computed after it.
        self.along = recurrence.sums_along
        self.behind = program.has_vectors and not self.along
        self.structures = Structures()
        held = _trees.flatten(self.vectors)
        self.rounds = any(vector.dtype != h.dtype for vector in held)

    def _gates_again(self) -> dict[str, Tensor]:
        """Recomputes the values of each gate that a step keeps, for all steps."""
        tensors, gates = self.tensors, {}
        for k, matrix in tensors.matrices.items():
            u = self.multiplied[k] @ matrix
            u = u + tensors.biases[k] if k in tensors.biases else u
            gates[k] = tensors.inputs[k] + u if self.recurrence.keeps_sum(k) else u
        return gates

    def _local(self, kept: dict[str, Tensor]) -> dict[str, Tensor | Parts]:
        """The values that the equation reads from each gate: the sum, or the parts."""
        inputs, gates = self.tensors.inputs, {}
        for k, gate in self.layout.gates.items():
            if k not in kept:
                gates[k] = inputs[k]
            elif self.recurrence.keeps_sum(k):
                gates[k] = kept[k]
            else:
                gates[k] = Parts(inputs[k] if gate.has_input else None, kept[k])
        return gates

    def _product(self, gate: str, tree: Tree) -> Tensor:
        """The product of a gate in a tree with the structure of `values["gates"]`."""
        value = tree[gate]
        return value.product if isinstance(value, Parts) else value

    def _equation(
        self, values: dict[str, Tree], vectors: StepVectors, context: StepContext
    ) -> dict[str, Tree]:
        """The states after a step, or all steps, and the vectors of late gates."""
        states = values["states"]
        like = states[self.program.output]
        if self.rounds:
            vectors = _trees.mapped(lambda v: _precision.along(v, like), vectors)
        inputs, products, multiplied = {}, {}, {}

        def late(gate: str, product: Tensor) -> Callable[[Tensor], Tensor]:
            def call(vector: Tensor) -> Tensor:
                if vector.dtype != like.dtype:
                    # Keras' activations give float32 for float64 on some backends.
                    vector = ops.cast(vector, like.dtype)
                multiplied[gate] = vector
                return product

            return call

        for k, gate in self.layout.gates.items():
            value = values["gates"][k]
            if not isinstance(value, Parts):
                inputs[k] = value
                continue
            if value.input is not None:
                inputs[k] = value.input
            is_late = gate.reads == LATE
            products[k] = late(k, value.product) if is_late else value.product
        read = self.program.read(inputs, products, vectors, context)
        new = self.program.update(states, read, vectors, context)
        # Sorted: the order of the calls does not matter.
        multiplied = {k: multiplied[k] for k in self.layout.late_gates}
        return {"states": new, "multiplied": multiplied}

    def sums(self) -> StepVectors | None:
        """The start of sums over all steps: zeros, in float32 at least."""

        def zeros(vector: Tensor) -> Tensor:
            dtype = keras.backend.standardize_dtype(vector.dtype)
            return ops.zeros_like(vector, dtype if dtype == "float64" else "float32")

        return _trees.mapped(zeros, self.vectors) if self.along else None

    def outputs(self, batch: Batch) -> dict[str, Tree]:
        """Describes the tensors that a step returns.

        Args:
            batch: number of sequences.
        """

        def output(width: int) -> StepOutput:
            return StepOutput((batch, width))

        states = self.program.states
        outputs: dict[str, Tree] = {"gates": {}}
        for k, gate in self.layout.gates.items():
            value = self.values["gates"][k]
            wide = output(self.program.units)
            if isinstance(value, Parts):
                part = None if value.input is None else wide
                outputs["gates"][k] = Parts(part, output(gate.gives))
            else:
                outputs["gates"][k] = wide
        # The computations after the loop may need the cotangents of the states after
        # each step, and of the output before each step.
        if self.behind or self.program.gradient_flow:
            outputs["after"] = {k: output(width) for k, width in states.items()}
        if self.program.gradient_flow:
            outputs["before"] = output(states[self.program.output])
        return outputs

    def __call__(
        self, carry: dict[str, Tree], at: dict[str, Tree]
    ) -> tuple[dict[str, Tree], dict[str, Tree]]:
        """The step.

        Args:
            carry: "states", their cotangents, and "sums", of the gradients of vectors.
            at: the slices of the step: `values`, the context as "by_step", and the
                cotangent of the output as "output".

        Returns:
            The carry before the step; the gradients of the gates; and, if needed, the
            cotangents of the states.
        """
        program, context = (
            self.program,
            self.recurrence.context(self.tensors, at["by_step"]),
        )
        after, output = dict(carry["states"]), program.output
        if self.shown:
            after[output] = after[output] + at["output"]
        values = {"states": at["states"], "gates": at["gates"]}
        gradients, sums = self._pulled(after, values, carry["sums"], context)
        before, of_gates = gradients["states"], gradients["gates"]
        if self.layout.early_gates:
            of_products = {
                k: self._product(k, of_gates) for k in self.layout.early_gates
            }
            d_h = program.masked(self.products.total(of_products), context)
            before[output] = before[output] + d_h
        outputs = {"gates": of_gates, "after": after, "before": before[output]}
        return {"states": before, "sums": sums}, outputs

    def _pulled(
        self,
        after: dict[str, Tensor],
        values: dict[str, Tree],
        sums: StepVectors | None,
        context: StepContext,
    ) -> tuple[dict[str, Tree], StepVectors | None]:
        """The gradients of `values` through the equation alone, and the sums."""
        wanted = {"values": values, "vectors": self.vectors if self.along else None}

        def equation(leaves: dict[str, Tree]) -> dict[str, Tree]:
            vectors = leaves["vectors"] if self.along else self.tensors.vectors
            return self._equation(leaves["values"], vectors, context)

        pull = Pullback(self.backend, equation, wanted, self.structures)
        cotangents = {"states": after, "multiplied": {}}
        at = pull.positions["values"]["gates"]
        # The vector of a late gate may depend on earlier late gates.
        for k in reversed(self.layout.late_gates):
            (d_u,) = pull.some(cotangents, [self._product(k, at)])
            d = self.products.one(k, d_u)
            cotangents["multiplied"][k] = self.program.masked(d, context, k)
        gradients = pull(cotangents)
        if self.along:
            sums = _precision.added(sums, gradients["vectors"])
        return gradients["values"], sums

    def gradients(
        self, last: dict[str, Tree], stacks: dict[str, Tree]
    ) -> LoopGradients:
        """Gradients of the tensors, from the last carry and the steps' outputs."""
        program, layout = self.program, self.layout
        flow, source = program.gradient_flow, self.multiplied
        of_gates = stacks["gates"]
        d_u = {k: self._product(k, of_gates) for k in layout.product_gates}
        if flow:
            # The loss depends on the recurrent kernel through the states that it
            # multiplies; the penalty through the cotangents that it multiplies.
            passed = gradient_flow.cotangent(
                flow, stacks["after"][program.output], stacks["before"]
            )
            passed = program.masked(passed, self.context)
            source = {k: vector + passed for k, vector in source.items()}
        outer, total = self.backend.outer, self.backend.total
        vectors = None
        if self.along:
            structure = _trees.Structure(self.vectors)
            pairs = zip(structure.flat(last["sums"]), structure.flat(self.vectors))
            vectors = structure.tree(ops.cast(s, v.dtype) for s, v in pairs)
        elif self.behind:
            vectors = self._of_vectors(stacks["after"], d_u)
        of_inputs = {}
        for k in layout.input_gates:
            value = of_gates[k]
            of_inputs[k] = value.input if isinstance(value, Parts) else value
        return LoopGradients(
            inputs=of_inputs,
            matrices={k: outer(source[k], d) for k, d in d_u.items()},
            biases={k: total(d_u[k]) for k in self.tensors.biases},
            vectors=vectors,
            states=last["states"],
        )

    def _of_vectors(
        self, d_states: dict[str, Tensor], d_u: dict[str, Tensor]
    ) -> StepVectors:
        """The gradients of vectors, from the equation at all steps at once."""
        pull = Pullback(
            self.backend,
            lambda vectors: self._equation(self.values, vectors, self.context),
            self.vectors,
        )
        multiplied = {
            k: self.program.masked(self.products.one(k, d_u[k]), self.context, k)
            for k in self.layout.late_gates
        }
        return pull({"states": d_states, "multiplied": multiplied})


@dataclasses.dataclass
class Structures:
    """The structures of a function's trees, kept for repeated calls."""

    inputs: _trees.Structure | None = None
    results: _trees.Structure | None = None


class Pullback:
    """The vector-Jacobian product of a function of a tree of tensors.

    Args:
        backend: one of the backend files of this package.
        function: from a tree to a tree.
        tree: the inputs at which the function is evaluated.
        known: the structures of an earlier call of the same function, or empty ones,
            which are then set.

    Attributes:
        positions: `tree` with the position of each tensor in the list of all.
        outputs: the value of the function.
    """

    def __init__(
        self,
        backend: Backend,
        function: Callable[[Tree], Tree],
        tree: Tree,
        structures: Structures | None = None,
    ):
        structures = structures or Structures()
        structure = self.structure = structures.inputs or _trees.Structure(tree)
        structures.inputs = structure
        self.positions = structure.positions()
        self.inputs = structure.flat(tree)

        def flat(leaves: Tensors) -> Tensors:
            result = function(structure.tree(leaves))
            self.results = structures.results or _trees.Structure(result)
            structures.results = self.results
            return self.results.flat(result)

        outputs, self.pull = backend.pullback(flat, self.inputs)
        self.outputs = self.results.tree(outputs)

    def some(self, cotangents: Tree, positions: Sequence[int]) -> Tensors:
        """The gradients of the tensors at some positions.

        Args:
            cotangents: of the results; missing ones are zero.
            positions: of the tensors.
        """
        gradients = self.pull(self.results.flat(cotangents), positions)
        return [
            ops.zeros_like(self.inputs[position]) if d is None else d
            for d, position in zip(gradients, positions)
        ]

    def __call__(self, cotangents: Tree) -> Tree:
        """The gradients of all tensors, in a tree."""
        return self.structure.tree(self.some(cotangents, range(self.structure.size)))
