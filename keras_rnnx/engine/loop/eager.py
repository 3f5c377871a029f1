"""The recurrence for eager backends, where every operation costs a call.

Its loops contain little: forward one product and the equation; backward a few
multiplications, since the local derivatives of all steps are computed before the loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.cells._base.tensors import StepContext, StepVectors
from keras_rnnx.engine import _precision
from keras_rnnx.engine.backends.protocol import (
    Backend,
    Cotangents,
    EagerBackend,
    Length,
    Tensor,
    Tensors,
    Tree,
)
from keras_rnnx.engine.loop.differentiable import Differentiable
from keras_rnnx.engine.loop.inputs import ALL
from keras_rnnx.engine.loop.tensors import (
    LoopGradients,
    LoopResults,
    LoopTensors,
    StepOutput,
)

# Elements of a state over the steps of a piece: some tens of such tensors fit into a
# processor's cache.
PIECE = 2**17


class EagerRecurrence(Differentiable):
    """The loop over time of one cell without late gates, over merged blocks.

    Args:
        program, backend, sequences, keep: as for `Differentiable`.
        kernel: a function that computes the outputs of all steps, `(time, batch,
            units)`, instead of the loop, for a cell with one state. Default: the loop.
    """

    # Engines take this recurrence on such a backend alone.
    backend: EagerBackend

    def __init__(
        self,
        program: CellProgram,
        backend: Backend,
        sequences: bool,
        keep: bool = True,
        kernel: Callable[[], Tensor] | None = None,
    ):
        self.loops = kernel is None
        super().__init__(program, backend, sequences, keep)
        self.kernel = kernel
        layout = program.layout
        self.gates = layout.product_gates
        # Otherwise the product is added to the input part right away.
        self.separate = layout.input_gates != self.gates or any(
            gate.reads != "sum" for gate in layout.gates.values()
        )
        self.kept = {"outputs": program.states[program.output]}
        if not kernel:
            self.kept["products"] = len(self.gates) * program.units or None
            others = list(program.states)[1:]
            self.kept["states"] = {name: program.states[name] for name in others}

    @staticmethod
    def takes(program: CellProgram) -> bool:
        """Whether this recurrence can run the cell: its derivatives are elementwise."""
        more = program.layout.late_gates or program.normalization
        return program.even and not (more or program.gradient_flow)

    def spared(self) -> set[str]:
        # If sums are kept, the input part is not read again.
        return set() if self.separate or self.kernel else {ALL}

    def advance(
        self,
        states: dict[str, Tensor],
        x: Tensor | None,
        u: Tensor | None,
        vectors: StepVectors,
        context: StepContext,
    ) -> dict[str, Tensor]:
        """The states after a step, or after all steps, from the parts of all gates.

        If they are not separate, `u` is the sum and `x` is not read.
        """
        split, layout = self.backend.split, self.program.layout
        inputs, products = {}, {}
        if self.gates:
            products = dict(zip(self.gates, split(u, len(self.gates))))
        if self.separate:
            names = layout.input_gates
            inputs = dict(zip(names, split(x, len(names))))
        gates = self.program.read(inputs, products, vectors, context)
        return self.program.update(states, gates, vectors, context)

    def gate_products(
        self,
        tensors: LoopTensors,
        h: Tensor,
        x: Tensor | None,
        context: StepContext,
    ) -> Tensor | None:
        """The products of the gates, plus `x` unless the parts are separate."""
        if not self.gates:
            return None
        h, matrix = self.program.masked(h, context), tensors.matrices[ALL]
        if not self.separate:
            return self.backend.add_product(x, h, matrix)
        if tensors.biases:
            return self.backend.add_product(tensors.biases[ALL], h, matrix)
        return h @ matrix

    def forward(
        self, length: Length, tensors: LoopTensors, keep: bool
    ) -> tuple[LoopResults, Tree]:
        if self.kernel is None:
            return self._loop(length, tensors, keep)
        outputs = self.kernel()
        last = {self.program.output: outputs[-1]}
        result = LoopResults(outputs if self.sequences else None, {}, last)
        return result, {"outputs": outputs} if keep else None

    def plain(self, length: Length, tensors: LoopTensors) -> LoopResults:
        return self._loop(length, tensors, keep=False)[0]

    def _loop(
        self, length: Length, tensors: LoopTensors, keep: bool
    ) -> tuple[LoopResults, Tree]:
        tensors, output = _precision.rounded(tensors), self.program.output

        def step(
            states: dict[str, Tensor], at: dict[str, Tree]
        ) -> tuple[dict[str, Tensor], dict[str, Tree]]:
            context = at["by_step"].beside(tensors.whole)
            u = self.gate_products(tensors, states[output], at["x"], context)
            new = self.advance(states, at["x"], u, tensors.vectors, context)
            return new, {"outputs": new[output], "products": u, "states": states}

        wanted: dict[str, Tree] = {}
        if keep:
            wanted = _trees.mapped(lambda width: StepOutput(), self.kept)
        elif self.sequences:
            wanted = {"outputs": StepOutput()}
        last, stacks = self.backend.scan(
            step,
            tensors.states,
            {"x": tensors.inputs[ALL], "by_step": tensors.by_step},
            length,
            wanted,
        )
        outputs = stacks["outputs"] if self.sequences else None
        return LoopResults(outputs, {}, last), stacks if keep else None

    def backward(
        self,
        length: Length,
        tensors: LoopTensors,
        kept: dict[str, Tree],
        cotangents: LoopResults,
    ) -> LoopGradients:
        """Goes back in pieces, each of so many steps that it stays in the cache."""
        backend, vectors = self.backend, tensors.vectors
        # Vectors are rounded later, where all steps read them.
        tensors = dataclasses.replace(_precision.rounded(tensors), vectors=vectors)
        first = next(iter(tensors.states.values()))
        batch, units, n_gates = first.shape[0], self.program.units, len(self.gates)
        at_once = max(1, PIECE // max(1, batch * units))
        carry = list(cotangents.states.values())
        back: Tensor | None = None
        d_u: Tensor = None
        if self.gates:
            back = ops.transpose(tensors.matrices[ALL])
            d_u = backend.empty((length, batch, n_gates, units), carry[0])
        of_vectors = _trees.Structure(vectors)
        d_x: Tensors = []
        d_matrix: Tensor | None = None
        d_vectors: Cotangents = [None] * of_vectors.size
        for stop in range(length, 0, -at_once):
            piece = _Piece(self, tensors, kept, slice(max(0, stop - at_once), stop))
            steps = piece.steps
            of_products, of_states = piece.derivatives()
            carry, d_states = backend.reverse_loop(
                [self._by_gate(d) for d in of_products],
                of_states,
                None if cotangents.outputs is None else cotangents.outputs[steps],
                carry,
                back,
                piece.context.recurrent,
                bool(self.separate or self.program.has_vectors),
                None if d_u is None else d_u[steps],
            )
            if self.gates:
                source = self.program.masked(
                    piece.before[self.program.output], piece.context
                )
                d = ops.reshape(d_u[steps], (*source.shape[:2], -1))
                d_matrix = _sum(d_matrix, backend.outer(source, d))
            if d_states:
                of_piece = piece.rest(d_states)
                if self.separate:
                    d_x.insert(0, of_piece["x"])
                d_vectors = [
                    _sum(*pair) for pair in zip(d_vectors, of_piece["vectors"])
                ]
        d_inputs = {}
        if self.gates:
            d_u = ops.reshape(d_u, (length, batch, -1))
            d_inputs = {ALL: d_u}
        if self.separate:
            d_inputs = {ALL: backend.concatenate(d_x, 0)}
        return LoopGradients(
            inputs=d_inputs,
            matrices={ALL: d_matrix} if self.gates else {},
            biases={ALL: backend.total(d_u)} if tensors.biases else {},
            # A vector that nothing reads has no gradient.
            vectors=of_vectors.tree(d_vectors),
            states=dict(zip(self.program.states, carry)),
        )

    def _by_gate(self, derivative: Tensor | None) -> Tensor | None:
        if derivative is None:
            return None
        shape = (*derivative.shape[:-1], len(self.gates), -1)
        return ops.reshape(derivative, shape)


class _Piece:
    """Some steps of the backward pass, all at once.

    Args:
        recurrence: the `EagerRecurrence`.
        tensors: its `LoopTensors`.
        kept: the tensors that the forward pass kept.
        steps: the steps, as a slice.

    Attributes:
        before: the states before each of the steps.
        context: the context with the masks of these steps.
    """

    def __init__(
        self,
        recurrence: EagerRecurrence,
        tensors: LoopTensors,
        kept: dict[str, Tree],
        steps: slice,
    ):
        self.recurrence, self.steps = recurrence, steps
        by_step = _trees.mapped(lambda tensor: tensor[steps], tensors.by_step)
        self.context = by_step.beside(tensors.whole)
        self.before = self._before(tensors, kept)
        # In this order: products, states, input part, vectors.
        x = (
            tensors.inputs[ALL][steps]
            if recurrence.separate or recurrence.kernel
            else None
        )
        u = kept["products"][steps] if kept.get("products") is not None else None
        if u is None:
            h = self.before[recurrence.program.output]
            u = recurrence.gate_products(tensors, h, x, self.context)
        self.structure = _trees.Structure(
            {
                "products": u,
                "states": self.before,
                "x": x if recurrence.separate else None,
                "vectors": tensors.vectors,
            }
        )
        self.positions = self.structure.positions()
        self.inputs = self.structure.flat(
            {
                "products": u,
                "states": self.before,
                "x": x,
                "vectors": tensors.vectors,
            }
        )
        _, self.pull = recurrence.backend.pullback(self._advance, self.inputs)

    def _before(self, tensors: LoopTensors, kept: dict[str, Tree]) -> dict[str, Tensor]:
        """The states before each of the steps."""
        steps, outputs = self.steps, kept["outputs"]
        output = self.recurrence.program.output
        if steps.start:
            h = outputs[steps.start - 1 : steps.stop - 1]
        else:
            first = ops.expand_dims(tensors.states[output], 0)
            h = self.recurrence.backend.concatenate(
                [first, outputs[: steps.stop - 1]], 0
            )
        others = kept.get("states") or {}
        return {output: h, **{name: state[steps] for name, state in others.items()}}

    def _advance(self, leaves: Tensors) -> Tensors:
        """The equation at these steps."""
        values = self.structure.tree(leaves)
        like = self.before[self.recurrence.program.output]
        vectors = _trees.mapped(
            lambda vector: _precision.along(vector, like), values["vectors"]
        )
        new = self.recurrence.advance(
            values["states"], values["x"], values["products"], vectors, self.context
        )
        return list(new.values())

    def derivatives(self) -> tuple[list[Tensor | None], list[list[Tensor | None]]]:
        """The derivatives of each state with respect to the products, and to the states
        before; None for zero."""
        n, of_products, of_states = len(self.before), [], []
        first = [] if self.positions["products"] is None else [0]
        wanted = [*first, *self.positions["states"].values()]
        for i, state in enumerate(self.before.values()):
            cotangents: Cotangents = [None] * n
            cotangents[i] = ops.ones_like(state)
            of_state = list(self.pull(cotangents, wanted))
            of_products.append(of_state.pop(0) if first else None)
            of_states.append(of_state)
        return of_products, of_states

    def rest(self, d_states: Tensors) -> dict[str, Tree]:
        """The gradients of the input part, and a list of the gradients of the vectors.

        Args:
            d_states: cotangents of the states after each step.
        """
        first = [] if self.positions["x"] is None else [self.positions["x"]]
        vectors = _trees.flatten(self.positions["vectors"])
        gradients = list(self.pull(d_states, [*first, *vectors]))
        return {"x": gradients.pop(0) if first else None, "vectors": gradients}


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b
