"""The loop back in time of a `Recurrence`: its step, and the gradients behind it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells._base.layout import LATE
from keras_rnnx.cells._base.tensors import Parts, StepContext, StepVectors
from keras_rnnx.engine import _precision
from keras_rnnx.engine.loop import gradient_flow
from keras_rnnx.engine.loop.tensors import LoopGradients, LoopTensors, StepOutput


class StepBack:
    """One step of the loop back in time, and what is done before and after all.

    Args:
        recurrence: the `Recurrence`.
        length: number of steps.
        given: its tensors.
        kept: what it kept.
        shown: whether there are cotangents of outputs.

    Attributes:
        values: "states", those before each step, and "gates", what the equation reads
            of the gates, for all steps.
    """

    def __init__(
        self,
        recurrence: Any,
        length: Any,
        given: LoopTensors,
        kept: dict[str, Any],
        shown: bool,
    ):
        self.recurrence, self.backend = recurrence, recurrence.backend
        program = self.program = recurrence.program
        self.layout, self.shown = program.layout, shown
        self.vectors = given.vectors
        given = self.given = _precision.rounded(given)
        # With the masks of all steps.
        self.context = recurrence.context(given, given.by_step)
        before = dict(kept["states"])
        # The output before a step, from those after each.
        h = recurrence.before(length, given.states[program.output], kept["outputs"])
        before.setdefault(program.output, h)
        # What each matrix multiplied.
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
        transposed = {k: ops.transpose(matrix) for k, matrix in given.matrices.items()}
        self.products = recurrence.products(transposed)
        # Gradients of vectors are summed in the loop, or taken behind it.
        self.along = recurrence.sums_along
        self.behind = program.has_vectors and not self.along
        self.structures = Structures()
        held = _trees.flatten(self.vectors)
        self.rounds = any(vector.dtype != h.dtype for vector in held)

    def _gates_again(self):
        """What a step kept of each gate, for all steps at once."""
        given, found = self.given, {}
        for k, matrix in given.matrices.items():
            u = self.multiplied[k] @ matrix
            u = u + given.biases[k] if k in given.biases else u
            found[k] = given.inputs[k] + u if self.recurrence.keeps_sum(k) else u
        return found

    def _local(self, kept):
        """What the equation reads of each gate: its sum, or one part of it, or both."""
        inputs, found = self.given.inputs, {}
        for k, gate in self.layout.gates.items():
            if k not in kept:
                found[k] = inputs[k]
            elif self.recurrence.keeps_sum(k):
                found[k] = kept[k]
            else:
                found[k] = Parts(inputs[k] if gate.has_input else None, kept[k])
        return found

    def _product(self, gate, tree):
        """The product of a gate in a tree as that of `values["gates"]`."""
        found = tree[gate]
        return found.product if isinstance(found, Parts) else found

    def _equation(
        self, values: dict[str, Any], vectors: StepVectors, context: StepContext
    ) -> dict[str, Any]:
        """The states after a step, or after all, and what late gates multiplied."""
        states = values["states"]
        like = states[self.program.output]
        if self.rounds:
            vectors = _trees.mapped(lambda v: _precision.along(v, like), vectors)
        inputs, products, multiplied = {}, {}, {}

        def late(gate, product):
            def call(vector):
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
        # In the order of their calls one may depend on another.
        multiplied = {k: multiplied[k] for k in self.layout.late_gates}
        return {"states": new, "multiplied": multiplied}

    def sums(self) -> StepVectors | None:
        """Where sums over all steps start: zeros in which they keep their digits."""

        def zeros(vector):
            dtype = keras.backend.standardize_dtype(vector.dtype)
            return ops.zeros_like(vector, dtype if dtype == "float64" else "float32")

        return _trees.mapped(zeros, self.vectors) if self.along else None

    def outputs(self, batch: Any) -> dict[str, Any]:
        """The tensors that a step gives.

        Args:
            batch: number of sequences.
        """

        def output(width):
            return StepOutput((batch, width))

        states = self.program.states
        found: dict[str, Any] = {"gates": {}}
        for k, gate in self.layout.gates.items():
            value = self.values["gates"][k]
            one = output(self.program.units)
            if isinstance(value, Parts):
                part = None if value.input is None else one
                found["gates"][k] = Parts(part, output(gate.gives))
            else:
                found["gates"][k] = one
        # What is behind the loop may want cotangents of the states after each step, and
        # of the first one before.
        if self.behind or self.program.gradient_flow:
            found["after"] = {k: output(width) for k, width in states.items()}
        if self.program.gradient_flow:
            found["before"] = output(states[self.program.output])
        return found

    def __call__(self, carry: dict, at: dict) -> tuple[dict, dict]:
        """The step.

        Args:
            carry: "states", their cotangents, and "sums", of the gradients of vectors.
            at: of the step, `values`, the context as "by_step", and as "output" the
                cotangent of the output.

        Returns:
            The carry before the step; the gradients of what is read of the gates; and,
            where that is wanted, the cotangents of the states.
        """
        program, context = (
            self.program,
            self.recurrence.context(self.given, at["by_step"]),
        )
        after, output = dict(carry["states"]), program.output
        if self.shown:
            after[output] = after[output] + at["output"]
        values = {"states": at["states"], "gates": at["gates"]}
        found, sums = self._pulled(after, values, carry["sums"], context)
        before, of_gates = found["states"], found["gates"]
        if self.layout.early_gates:
            of_products = {
                k: self._product(k, of_gates) for k in self.layout.early_gates
            }
            d_h = program.masked(self.products.total(of_products), context)
            before[output] = before[output] + d_h
        given = {"gates": of_gates, "after": after, "before": before[output]}
        return {"states": before, "sums": sums}, given

    def _pulled(self, after, values, sums, context):
        """The gradients of `values` by the equation alone, and the sums."""
        wanted = {"values": values, "vectors": self.vectors if self.along else None}

        def equation(given):
            vectors = given["vectors"] if self.along else self.given.vectors
            return self._equation(given["values"], vectors, context)

        pull = Pullback(self.backend, equation, wanted, self.structures)
        cotangents = {"states": after, "multiplied": {}}
        at = pull.positions["values"]["gates"]
        # What a late gate multiplied may depend on one that was before.
        for k in reversed(self.layout.late_gates):
            (d_u,) = pull.some(cotangents, [self._product(k, at)])
            d = self.products.one(k, d_u)
            cotangents["multiplied"][k] = self.program.masked(d, context, k)
        found = pull(cotangents)
        if self.along:
            sums = _added(sums, found["vectors"])
        return found["values"], sums

    def gradients(self, last: dict[str, Any], stacks: dict[str, Any]) -> LoopGradients:
        """Gradients of the tensors, from the last carry and what the steps gave."""
        program, layout = self.program, self.layout
        flow, source = program.gradient_flow, self.multiplied
        of_gates = stacks["gates"]
        d_u = {k: self._product(k, of_gates) for k in layout.product_gates}
        if flow:
            # The penalty sees the recurrent kernel as what the cotangents went through,
            # as the loss sees it as what the states went through.
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
            found = of_gates[k]
            of_inputs[k] = found.input if isinstance(found, Parts) else found
        return LoopGradients(
            inputs=of_inputs,
            matrices={k: outer(source[k], d) for k, d in d_u.items()},
            biases={k: total(d_u[k]) for k in self.given.biases},
            vectors=vectors,
            states=last["states"],
        )

    def _of_vectors(self, d_states, d_u):
        """The gradients of vectors, by the equation at all steps once more."""
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
    """Those of a function's trees, where it is called again and again."""

    inputs: _trees.Structure | None = None
    results: _trees.Structure | None = None


class Pullback:
    """The vector-Jacobian product of a function of a tree of tensors.

    Args:
        backend: one of the backend files of this package.
        function: from a tree to a tree.
        tree: where it is taken.
        known: of an earlier call of the same function, or to be filled.

    Attributes:
        positions: `tree` with the position of each tensor in the list of all.
        outputs: what the function gives there.
    """

    def __init__(
        self, backend: Any, function: Any, tree: Any, known: Structures | None = None
    ):
        known = known or Structures()
        structure = self.structure = known.inputs or _trees.Structure(tree)
        known.inputs = structure
        self.positions = structure.positions()
        self.inputs = structure.flat(tree)

        def flat(leaves):
            found = function(structure.tree(leaves))
            self.results = known.results or _trees.Structure(found)
            known.results = self.results
            return self.results.flat(found)

        outputs, self.pull = backend.pullback(flat, self.inputs)
        self.outputs = self.results.tree(outputs)

    def some(self, cotangents: Any, positions: Sequence[int]) -> list[Any]:
        """The gradients of the tensors at some positions.

        Args:
            cotangents: of the results; what they lack is zero.
            positions: of the tensors.
        """
        found = self.pull(self.results.flat(cotangents), positions)
        return [
            ops.zeros_like(self.inputs[position]) if d is None else d
            for d, position in zip(found, positions)
        ]

    def __call__(self, cotangents: Any) -> Any:
        """The gradients of all tensors, in a tree."""
        return self.structure.tree(self.some(cotangents, range(self.structure.size)))


def _added(sums, found):
    structure = _trees.Structure(sums)
    pairs = zip(structure.flat(sums), structure.flat(found))
    return structure.tree(total + ops.cast(d, total.dtype) for total, d in pairs)
