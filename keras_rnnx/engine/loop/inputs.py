"""The input parts of all gates at all steps: products before the loop."""

from __future__ import annotations

import functools
import operator

from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.cells._base.tensors import StepContext
from keras_rnnx.engine import _precision
from keras_rnnx.engine.backends.protocol import Backend, Tensor, Tensors, Tree
from keras_rnnx.engine.loop.tensors import LoopGradients, LoopTensors, SequenceTensors

MATRICES = ("recurrent_kernel", "projection_kernel")
# The name of the block that holds all gates.
ALL = "all gates"


class GateInputs:
    """The input parts of the gates, and the blocks of the weights for the loop.

    Args:
        program: the cell.
        backend: one of the backend files of this package.
        merged: whether the gates stay in one block, for loops that split it without a
            copy. Otherwise each gate has a block: one product per gate costs no more
            than one for all, and needs no copies here or in the loop.
    """

    def __init__(self, program: CellProgram, backend: Backend, merged: bool):
        self.program, self.layout = program, program.layout
        self.backend = backend
        self.merged = merged
        alone = any(gate.product_bias for gate in self.layout.gates.values())
        # One block, with the biases as they are stored: nothing has to be split.
        self.as_stored = (
            merged and self.layout.uniform and alone == self.layout.two_biases
        )
        self.join = functools.partial(backend.concatenate, axis=-1)

    def __call__(
        self, tensors: SequenceTensors, noted: dict[str, Tree] | None = None
    ) -> LoopTensors:
        """The tensors of the loop.

        Args:
            tensors: the tensors of the call, with time first.
            noted: a dict to record the moments of the inputs in. Default: none.
        """
        weights = tensors.weights
        biases, of_products = self._biases(weights.get("bias"))
        x = masked_inputs(tensors)
        inputs = self._products(x, weights["kernel"], biases)
        if self.program.normalization:
            context = StepContext(
                valid=tensors.by_step.valid, moving=tensors.by_step.moving, noted=noted
            )
            inputs = self.program.normalization.inputs(inputs, weights, context)
        return LoopTensors(
            inputs=inputs,
            matrices=self._matrices(weights),
            biases=of_products,
            vectors=tensors.vectors,
            states=tensors.states,
            whole=tensors.whole,
            by_step=_without_inputs(tensors.by_step),
        )

    def _matrices(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        matrices: dict[str, Tensor] = {}
        for name in MATRICES:
            if name in weights:
                matrices |= self._blocks(weights[name], name)
        return matrices

    def _products(
        self, x: Tensor, kernel: Tensor, biases: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        flat = ops.reshape(x, (-1, x.shape[-1]))
        products = {}
        for name, block in self._blocks(kernel, "kernel").items():
            bias = biases.get(name)
            if block.dtype != x.dtype:
                products[name] = _precision.product(self.backend, x, block, bias)
                continue
            part = flat @ block
            part = part if bias is None else self.backend.plus_bias(part, bias)
            products[name] = ops.reshape(part, (*ops.shape(x)[:2], block.shape[-1]))
        return products

    def gradients(
        self, tensors: SequenceTensors, of_loop: LoopGradients
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The gradients of inputs and weights, from those of the loop's tensors.

        Args:
            tensors: the tensors of the call, with time first.
            of_loop: the gradients of the loop's tensors.
        """
        x, weights = masked_inputs(tensors), tensors.weights
        of_inputs = of_loop.inputs
        of_weights: dict[str, Tensor] = {}
        if self.program.normalization:
            of_inputs, of_weights = self._before_normalization(x, weights, of_inputs)
        kernels = self._blocks(weights["kernel"], "kernel")
        d_x = functools.reduce(
            operator.add,
            [
                d @ ops.transpose(_precision.cast(kernels[name], d))
                for name, d in of_inputs.items()
            ],
        )
        of_weights["kernel"] = self.join(
            [self.backend.outer(x, of_inputs[k]) for k in kernels]
        )
        for name in MATRICES:
            if name in weights:
                blocks = self._blocks(weights[name], name)
                of_weights[name] = self.join([of_loop.matrices[k] for k in blocks])
        if "bias" in weights and not self.program.normalization:
            of_weights["bias"] = self._of_bias(of_inputs, of_loop.biases)
        if tensors.input_mask is not None:
            d_x = d_x * tensors.input_mask
        return d_x, of_weights

    def _of_bias(
        self, of_inputs: dict[str, Tensor], of_products: dict[str, Tensor]
    ) -> Tensor:
        """The gradient of the bias, from those of the parts that it was added to."""
        layout = self.layout
        totals = {k: self.backend.total(d) for k, d in of_inputs.items()}
        if self.as_stored:
            both = [totals[ALL], *of_products.values()]
            return ops.stack(both) if of_products else both[0]
        if self.merged:
            totals = layout.blocks(totals[ALL], "kernel")
            if of_products:
                of_products = layout.blocks(of_products[ALL], "recurrent_kernel")
        alone = {
            k: of_products[k] for k, gate in layout.gates.items() if gate.product_bias
        }
        if layout.two_biases:
            first = [totals[k] for k in layout.gates]
            second = [alone.get(k, totals[k]) for k in layout.gates]
            return ops.stack([self.join(first), self.join(second)])
        by_gate = totals | alone
        return self.join([by_gate[k] for k in layout.bias_gates])

    def _before_normalization(
        self, x: Tensor, weights: dict[str, Tensor], of_inputs: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The gradients of the products, by gate, and of the weights of the
        normalization of input parts, by name."""
        normalization = self.program.normalization
        assert normalization is not None
        products = self._products(x, weights["kernel"], {})
        names = [*normalization.tensors, "bias"]
        tree = products, {name: weights[name] for name in names if name in weights}
        structure = _trees.Structure(tree)

        def normalize(leaves: Tensors) -> Tensors:
            parts, weights = structure.tree(leaves)
            normalized = normalization.inputs(parts, weights, StepContext())
            return [normalized[k] for k in parts]

        _, pull = self.backend.pullback(normalize, structure.flat(tree))
        d = pull([of_inputs[k] for k in products], range(structure.size))
        return structure.tree(d)

    def _blocks(self, tensor: Tensor, name: str) -> dict[str, Tensor]:
        return {ALL: tensor} if self.merged else self.layout.blocks(tensor, name)

    def _biases(
        self, bias: Tensor | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The biases of the input parts by block, including the biases of products
        that are summed; and the biases of the other products."""
        # A normalization adds the biases after it.
        if bias is None or self.program.normalization:
            return {}, {}
        if self.as_stored:
            if self.layout.two_biases:
                return {ALL: bias[0]}, {ALL: bias[1]}
            return {ALL: bias}, {}
        of_inputs, of_products = self.layout.biases(bias)
        if not self.merged:
            return of_inputs, of_products
        zeros = ops.zeros_like(bias[..., : self.program.units])
        gates = self.layout.input_gates
        joined = {ALL: self.join([of_inputs.get(k, zeros) for k in gates])}
        if not of_products:
            return joined, {}
        gates = self.layout.recurrent_gates
        return joined, {ALL: self.join([of_products.get(k, zeros) for k in gates])}


def masked_inputs(tensors: SequenceTensors) -> Tensor:
    """The inputs under the random mask of the sequence."""
    x = tensors.sequences
    return x if tensors.input_mask is None else x * tensors.input_mask


def _without_inputs(by_step: StepContext) -> StepContext:
    """The context of the loop, which does not need the moments of inputs."""
    moving = {k: v for k, v in by_step.moving.items() if k != "inputs"}
    return StepContext(
        by_step.valid, by_step.recurrent, by_step.update, by_step.zoneout, moving
    )
