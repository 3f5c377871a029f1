"""Arranges the weights of a cell as a vendor's kernel expects them."""

from __future__ import annotations

from keras import ops

from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.cells._base.tensors import StepVectors
from keras_rnnx.cells._lowering.spec import FIELDS, KERNELS, GateWeights, Weights
from keras_rnnx.engine import backends
from keras_rnnx.engine.backends.protocol import Tensor, Tensors

# The order of the gates in the vendors' kernels. The GRU's differs from Keras'.
ORDER = KERNELS | {"gru": ("r", "z", "h")}


def ready(program: CellProgram) -> bool:
    """Whether the weights are those of the kernel, up to the order of the gates."""
    lowering, layout = program.lowering(), program.layout
    if not lowering.plain:
        return False
    order, gates = ORDER[lowering.kernel], layout.input_gates
    return gates == order or (layout.uniform and {*gates} == {*order})


def own(program: CellProgram, tensors: dict[str, Tensor]) -> Tensors:
    """Both kernels, both biases and the projection of a cell that is `ready`.

    They are in the kernel's order. A missing bias is zeros; a missing projection is
    left out.

    Args:
        program: the cell.
        tensors: its weights by name.
    """
    order, gates = ORDER[program.lowering().kernel], program.layout.input_gates
    if gates != order:
        backend = backends.current()
        places = [gates.index(gate) for gate in order]

        def ordered(tensor: Tensor) -> Tensor:
            parts = backend.split(tensor, len(order))
            return backend.concatenate([parts[k] for k in places], -1)

        names = {"kernel", "recurrent_kernel", "bias"} & tensors.keys()
        tensors = tensors | {name: ordered(tensors[name]) for name in names}
    return [*_whole(program, tensors), *projection(tensors)]


def _whole(program: CellProgram, tensors: dict[str, Tensor]) -> Tensors:
    """Both kernels and both biases, in the order of the cell's gates."""
    kernels = [tensors["kernel"], tensors["recurrent_kernel"]]
    zeros = ops.zeros_like(tensors["recurrent_kernel"][0])
    biases = [zeros, zeros]
    if "bias" in tensors:
        bias = tensors["bias"]
        biases = [bias[0], bias[1]] if program.layout.two_biases else [bias, zeros]
    return [*kernels, *biases]


def projection(tensors: dict[str, Tensor]) -> Tensors:
    """The matrix that projects the outputs, in a list; an empty list without one."""
    return [tensors["projection_kernel"]] if "projection_kernel" in tensors else []


def by_gate(
    program: CellProgram, tensors: dict[str, Tensor], vectors: StepVectors
) -> Weights:
    """The weights of each gate for a lowering, with zeros for parts that it lacks.

    Args:
        program, tensors: as for `own`.
        vectors: its vectors.
    """
    layout = program.layout
    if layout.uniform:
        n = len(layout.input_gates)
        parts = [backends.current().split(part, n) for part in _whole(program, tensors)]
        gates = {
            k: GateWeights(*part) for k, part in zip(layout.input_gates, zip(*parts))
        }
        return Weights(gates, vectors.own)
    kernels = layout.blocks(tensors["kernel"], "kernel")
    recurrent = layout.blocks(tensors["recurrent_kernel"], "recurrent_kernel")
    of_inputs, of_products = layout.biases(tensors.get("bias"))
    no_kernel, no_product = (
        ops.zeros_like(next(iter(blocks.values()))) for blocks in (kernels, recurrent)
    )
    gates = {
        k: GateWeights(
            kernels.get(k, no_kernel),
            recurrent.get(k, no_product),
            of_inputs.get(k, no_product[0]),
            of_products.get(k, no_product[0]),
        )
        for k in layout.gates
        if k not in layout.gates_of("projection_kernel")
    }
    return Weights(gates, vectors.own)


def in_order(kernel: str, gates: dict[str, GateWeights]) -> Tensors:
    """Both kernels and both biases, with the gates in the vendor's order.

    Args:
        kernel: name of the kernel.
        gates: the weights of its gates.
    """
    ordered = [gates[k] for k in ORDER[kernel]]
    if len(ordered) == 1:
        return [getattr(ordered[0], name) for name in FIELDS]
    join = backends.current().concatenate
    return [join([getattr(gate, name) for gate in ordered], -1) for name in FIELDS]


def lowered(
    program: CellProgram, tensors: dict[str, Tensor], vectors: StepVectors
) -> Tensors:
    """The weights for the kernel, of a cell whose lowering maps only weights.

    Args:
        program, tensors, vectors: as for `by_gate`.
    """
    if ready(program):
        return own(program, tensors)
    lowering = program.lowering()
    gates = lowering.gates(by_gate(program, tensors, vectors))
    return in_order(lowering.kernel, gates) + projection(tensors)
