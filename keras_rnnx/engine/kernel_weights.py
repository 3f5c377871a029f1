"""The weights of a cell as a vendor's kernel takes them."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.cells.lowering import FIELDS, KERNELS, GateWeights, Weights

# Gates by the order of vendors, where it is not that of Keras.
ORDER = KERNELS | {"gru": ("r", "z", "h")}


def ready(cell: Cell) -> bool:
    """Whether the weights are the kernel's, with nothing to take apart."""
    lowering = cell.lowering()
    return lowering.plain and cell.gates == ORDER[lowering.kernel]


def own(cell: Cell, tensors: dict[str, Any]) -> list[Any]:
    """Both kernels and both biases of a cell, zeros where it has none.

    Args:
        cell: the cell.
        tensors: its weights by name.
    """
    kernels = [tensors["kernel"], tensors["recurrent_kernel"]]
    zeros = ops.zeros_like(tensors["recurrent_kernel"][0])
    if "bias" not in tensors:
        return [*kernels, zeros, zeros]
    bias = tensors["bias"]
    if cell.recurrent_bias:
        return [*kernels, bias[0], bias[1]]
    return [*kernels, bias, zeros]


def by_gate(cell: Cell, tensors: dict[str, Any], vectors: list[Any]) -> Weights:
    """The weights of each gate, as a lowering takes them: zeros where it has no part.

    Args:
        cell, tensors: as for `own`.
        vectors: its vectors, in the order of `cell.vectors`.
    """
    vectors = dict(zip(cell.vectors, vectors))
    if cell.whole:
        n = len(cell.gates)
        parts = [ops.split(tensor, n, axis=-1) for tensor in own(cell, tensors)]
        gates = {k: GateWeights(*part) for k, part in zip(cell.gates, zip(*parts))}
        return Weights(gates, vectors)
    kernels = cell.blocks(tensors["kernel"], "kernel")
    recurrent = cell.blocks(tensors["recurrent_kernel"], "recurrent_kernel")
    of_inputs, of_products = cell.biases_by_gate(tensors.get("bias"))
    no_kernel, no_product = (
        ops.zeros_like(next(iter(found.values()))) for found in (kernels, recurrent)
    )
    gates = {
        k: GateWeights(
            kernels.get(k, no_kernel),
            recurrent.get(k, no_product),
            of_inputs.get(k, no_product[0]),
            of_products.get(k, no_product[0]),
        )
        for k in cell.gates
    }
    return Weights(gates, vectors)


def in_order(kernel: str, gates: dict[str, GateWeights]) -> list[Any]:
    """Both kernels and both biases, by gate in the vendor's order.

    Args:
        kernel: name of the kernel.
        gates: the weights of its gates.
    """
    ordered = [gates[k] for k in ORDER[kernel]]
    return [
        ops.concatenate([getattr(gate, name) for gate in ordered], axis=-1)
        for name in FIELDS
    ]


def lowered(cell: Cell, tensors: dict[str, Any], vectors: list[Any]) -> list[Any]:
    """The same for a cell whose lowering maps nothing but weights.

    Args:
        cell, tensors, vectors: as for `by_gate`.
    """
    if ready(cell):
        return own(cell, tensors)
    lowering = cell.lowering()
    gates = lowering.gates(by_gate(cell, tensors, vectors))
    return in_order(lowering.kernel, gates)
