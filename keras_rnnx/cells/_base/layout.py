"""The gates of a cell: their blocks in the weights, and how the equation reads them."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras import ops

# How an equation reads a gate: see `Gate.reads`.
SUM, PARTS, LATE = "sum", "parts", "late"


@dataclasses.dataclass(frozen=True)
class Gate:
    """One gate of a cell.

    A gate has an input part `W x + b`, a product `U h`, or both, where `x` is the input
    of the step and `h` the output of the step before.

    Attributes:
        name: its name.
        reads: "sum" if the equation reads the sum of both (`gate.k`), "parts" if it
            reads each of them (`gate.x.k`, `gate.u.k`), "late" if it multiplies a
            vector that it computes (`gate.u.k(v)`).
        has_input: whether it has a block in `kernel`.
        matrix: name of the weight with the matrix of its product, or None.
        per_unit: whether it has one recurrent weight for each unit instead of a matrix.
        takes: width of the vector that its matrix multiplies.
        gives: width of the product.
        input_bias: whether a bias is added to its input part, or to the sum.
        product_bias: whether a bias is added to its product alone.
    """

    name: str
    reads: str
    has_input: bool
    matrix: str | None
    per_unit: bool
    takes: int
    gives: int
    input_bias: bool
    product_bias: bool


class Layout:
    """The gates of a cell, and the blocks they have in its weights.

    Args:
        cell: a `Cell` with its arguments set.

    Attributes:
        gates: the gates by name, in the order of the declaration.
        input_gates: names of the gates with a block in `kernel`, in its order.
        recurrent_gates: names of the gates with a block in `recurrent_kernel`, in its
            order.
        product_gates: names of the gates whose product has a matrix: first those of
            `recurrent_kernel`, then those of `projection_kernel`.
        early_gates: the product gates that multiply the output of the step before.
        late_gates: the product gates that multiply a vector of the equation.
        bias_gates: names of the gates with a block in `bias`, in its order.
        two_biases: whether `bias` has a row for each of the two parts.
        uniform: whether every gate but those of `projection_kernel` has a block in
            every weight.
    """

    def __init__(self, cell: Any):
        self.gates = {name: _gate(cell, name) for name in cell.gates}
        gates = self.gates.values()
        self.input_gates = tuple(g.name for g in gates if g.has_input)
        by_matrix = {
            weight: tuple(g.name for g in gates if g.matrix == weight)
            for weight in ("recurrent_kernel", "projection_kernel")
        }
        per_unit = tuple(g.name for g in gates if g.per_unit)
        self.recurrent_gates = per_unit or by_matrix["recurrent_kernel"]
        self.product_gates = tuple(k for names in by_matrix.values() for k in names)
        self.early_gates = tuple(
            k for k in self.product_gates if self.gates[k].reads != LATE
        )
        self.late_gates = tuple(g.name for g in gates if g.reads == LATE)
        self.bias_gates = tuple(k for k in cell.gates if _may_have_bias(cell, k))
        self.two_biases = bool(cell.recurrent_bias)
        self._by_weight = {
            "kernel": self.input_gates,
            "recurrent_kernel": self.recurrent_gates,
            "projection_kernel": by_matrix["projection_kernel"],
            "bias": self.bias_gates,
        }
        self.uniform = (
            self.input_gates == by_matrix["recurrent_kernel"] == self.bias_gates
        )

    def gates_of(self, weight: str) -> tuple[str, ...]:
        """Names of the gates with a block in a weight, in its order.

        Args:
            weight: "kernel", "recurrent_kernel", "projection_kernel" or "bias".
        """
        return self._by_weight[weight]

    def blocks(self, tensor: Any, weight: str) -> dict[str, Any]:
        """The blocks of the last axis of a weight, or of a product with it, by gate.

        Args:
            tensor: the weight, or a tensor with as many columns.
            weight: its name.
        """
        gates = self.gates_of(weight)
        if len(gates) == 1:
            return {gates[0]: tensor}
        return dict(zip(gates, ops.split(tensor, len(gates), axis=-1)))

    def biases(self, bias: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The biases of input parts (or of sums) by gate, and the biases of products.

        Args:
            bias: the weight, or None.
        """
        if bias is None:
            return {}, {}
        alone = [k for k, gate in self.gates.items() if gate.product_bias]
        if self.two_biases:
            first, second = (self.blocks(bias[i], "bias") for i in range(2))
            of_inputs = {
                k: v if k in alone else v + second[k] for k, v in first.items()
            }
            return of_inputs, {k: second[k] for k in alone}
        blocks = self.blocks(bias, "bias")
        of_inputs = {k: v for k, v in blocks.items() if k not in alone}
        return of_inputs, {k: blocks[k] for k in alone}


def _gate(cell: Any, name: str) -> Gate:
    late, output = name in cell.late, cell.state_widths[cell.states[0]]
    reads = LATE if late else PARTS if name in cell.split else SUM
    matrix = None
    if name in cell.projection:
        matrix = "projection_kernel"
    elif name not in cell.inputs_only and not cell.diagonal:
        matrix = "recurrent_kernel"
    has_bias = cell.use_bias and _may_have_bias(cell, name)
    on_product = matrix == "recurrent_kernel" and (
        (reads != SUM and (cell.recurrent_bias or cell.bias_part == "recurrent"))
        or (name in cell.states_only and not cell.recurrent_bias)
    )
    projects = name in cell.projection
    return Gate(
        name,
        reads,
        has_input=name not in cell.states_only,
        matrix=matrix,
        per_unit=cell.diagonal and name not in cell.inputs_only,
        takes=cell.units if projects else output,
        gives=output if projects else cell.units,
        input_bias=has_bias and (not on_product or bool(cell.recurrent_bias)),
        product_bias=has_bias and on_product,
    )


def _may_have_bias(cell: Any, name: str) -> bool:
    if cell.biases is None:
        return not (name in cell.late and name in cell.states_only)
    return name in cell.biases
