"""Products whose rows are normalized over units.

The mean over the units of `a K` is the product of `a` with the mean of the columns of
`K`. So it is subtracted from the weights, once a sequence, instead of at every step.
And the gradients of weights are products with `a` instead of sums over units.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable, Iterable

from keras import ops

from keras_rnnx.cells._base.normalization import exact, over_units
from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.cells._base.tensors import StepContext, StepVectors
from keras_rnnx.engine.backends.protocol import Backend, Tensor, Tensors, Tree
from keras_rnnx.engine.loop.inputs import masked_inputs
from keras_rnnx.engine.loop.tensors import SequenceTensors


@dataclasses.dataclass
class NormalizedTensors:
    """The tensors of the loop of a normalized cell. Time comes first.

    Attributes:
        sequences: the inputs, `(time, batch, features)`.
        kernels: the kernels by gate, with rows of mean 0 over a group.
        matrices: the matrices of the products by gate, also with rows of mean 0.
        scales: the factors of the normalized input parts, by gate.
        biases: the biases of the scaled input parts, by gate.
        vectors: of the cell.
        states: before the first step, by name.
        whole: random masks of the whole sequence.
        by_step: the mask and random masks of each step.
    """

    sequences: Tensor
    kernels: dict[str, Tensor]
    matrices: dict[str, Tensor]
    scales: dict[str, Tensor]
    biases: dict[str, Tensor]
    vectors: StepVectors
    states: dict[str, Tensor]
    whole: StepContext
    by_step: StepContext


class CenteredInputs:
    """The weights of a cell for a `NormalizedRecurrence`, a block for each gate.

    Replaces `GateInputs`; the recurrence computes the products itself.

    Args:
        program: the cell.
        backend: one of the backend files of this package.
    """

    def __init__(self, program: CellProgram, backend: Backend):
        self.program, self.layout = program, program.layout
        normalization = program.normalization
        assert normalization is not None and normalization.groups is not None
        self.groups = normalization.groups
        self.backend = backend
        self.join = functools.partial(backend.concatenate, axis=-1)

    def __call__(
        self, tensors: SequenceTensors, noted: dict[str, Tree] | None = None
    ) -> NormalizedTensors:
        """The tensors of the loop.

        Args:
            tensors: the tensors of the call, with time first.
            noted: not used.
        """
        weights = tensors.weights
        return NormalizedTensors(
            sequences=masked_inputs(tensors),
            kernels=self._centered(self._blocks(weights["kernel"])),
            matrices=self._centered(self._blocks(weights["recurrent_kernel"])),
            scales=self._blocks(weights["kernel_scale"]),
            biases=self.layout.biases(weights.get("bias"))[0],
            vectors=tensors.vectors,
            states=tensors.states,
            whole=tensors.whole,
            by_step=tensors.by_step,
        )

    def gradients(
        self, tensors: SequenceTensors, of_loop: NormalizedTensors
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The gradients of inputs and weights, from those of the loop's tensors.

        Args:
            tensors: the tensors of the call, with time first.
            of_loop: the gradients of the loop's tensors.
        """

        def joined(of_gates: dict[str, Tensor]) -> Tensor:
            return self.join([of_gates[k] for k in self.layout.gates])

        # Subtracting the mean is its own transpose.
        of_weights = {
            "kernel": joined(self._centered(of_loop.kernels)),
            "recurrent_kernel": joined(self._centered(of_loop.matrices)),
            "kernel_scale": joined(of_loop.scales),
        }
        if "bias" in tensors.weights:
            bias = tensors.weights["bias"]
            of_weights["bias"] = self._bias_gradient(of_loop.biases, bias)
        d_x = of_loop.sequences
        return (
            d_x if tensors.input_mask is None else d_x * tensors.input_mask,
            of_weights,
        )

    def _blocks(self, tensor: Tensor) -> dict[str, Tensor]:
        return self.layout.blocks(tensor, "kernel")

    def _centered(self, kernels: dict[str, Tensor]) -> dict[str, Tensor]:
        centered = dict(kernels)
        for group in self.groups:
            mean = over_units(exact(self.join([centered[k] for k in group])))
            for k in group:
                centered[k] = ops.cast(exact(centered[k]) - mean, centered[k].dtype)
        return centered

    def _bias_gradient(self, of_gates: dict[str, Tensor], bias: Tensor) -> Tensor:
        layout = self.layout
        # The biases of products get their gradients as vectors.
        none = ops.zeros_like(bias[..., : self.program.units])
        if not layout.two_biases:
            return self.join([of_gates.get(k, none) for k in layout.bias_gates])
        first = [of_gates[k] for k in layout.bias_gates]
        second = [
            none[0] if layout.gates[k].product_bias else of_gates[k]
            for k in layout.bias_gates
        ]
        return ops.stack([self.join(first), self.join(second)])


def inputs_gradient(
    a: Tensor,
    kernels: Tensors,
    scales: Tensors,
    factor: Tensor,
    d: Tensors,
    products: Tensors,
) -> tuple[Tensor, Tensor]:
    """The gradient of `a` from that of the normalized `a K`, for the gates of a group.

    Args:
        a: `(time, batch, features)`.
        kernels: `K`, each `(features, units)`, with rows of mean 0 over all of them.
        scales: the factors after the normalization, each `(units,)`.
        factor: of the normalization, `(time, batch, 1)`.
        d: the gradients of the scaled values, `(time, batch, units)`.
        products: `a K`.

    Returns:
        The gradient, and the `share` that `kernel_gradients` takes.
    """
    through = _sum(d_k @ ops.transpose(k * s) for d_k, k, s in zip(d, kernels, scales))
    along = ops.sum(exact(a) * exact(through), axis=-1, keepdims=True)
    share = factor * factor * factor * along / _width(kernels)
    if a.shape[-1] > _width(kernels):
        back = _sum(m @ ops.transpose(k) for m, k in zip(products, kernels))
    else:
        back = a @ _sum(k @ ops.transpose(k) for k in kernels)
    gradient = factor * exact(through) - share * exact(back)
    return ops.cast(gradient, a.dtype), share


def kernel_gradients(
    a: Tensor,
    kernels: Tensors,
    scales: Tensors,
    factor: Tensor,
    share: Tensor,
    d: Tensors,
    outer: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensors, Tensors]:
    """The gradients of the kernels and of the scales. Arguments as above.

    Args:
        share: the multiple of `a K` that the gradient loses, `(time, batch, 1)`.
        outer: the sum over steps and samples of outer products.
    """
    scaled = ops.cast(exact(a) * factor, a.dtype)
    weighted = ops.cast(exact(a) * share, a.dtype)
    direct = [outer(scaled, d_k) for d_k in d]
    if a.shape[-1] > _width(kernels):
        removed = [outer(weighted, a @ k) for k in kernels]
    else:
        square = outer(weighted, a)
        removed = [square @ k for k in kernels]
    of_kernels = [m * s - t for m, s, t in zip(direct, scales, removed)]
    return of_kernels, [ops.sum(k * m, axis=0) for k, m in zip(kernels, direct)]


def _width(kernels: Tensors) -> int:
    return sum(kernel.shape[-1] for kernel in kernels)


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return functools.reduce(operator.add, terms)
