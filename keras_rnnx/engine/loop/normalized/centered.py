"""Products whose rows are normalized over units.

The mean over the units of `a K` is a product of `a` with the mean of the columns of
`K`. So it is taken from the weights, once a sequence, not from every step. And the
gradients of weights are products with `a` in place of sums over units.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from types import ModuleType
from typing import Any

from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.cells._base.normalization.layer import exact, over_units


class Centered:
    """The weights of a cell for a `NormalizedRecurrence`, a block for each gate.

    Takes the place of a `Projection`, of which the recurrence does the products itself.

    Args:
        cell: the cell.
        backend: one of the backend files of this package.
    """

    def __init__(self, cell: Cell, backend: ModuleType):
        self.cell = cell
        self.backend = backend
        self.join = functools.partial(backend.concatenate, axis=-1)

    def __call__(
        self,
        x: Any,
        tensors: dict[str, Any],
        given: dict[str, Any] | None = None,
    ) -> dict[str, list[Any]]:
        """The groups of a recurrence that do not depend on its states.

        Args:
            x: inputs `(time, batch, features)`.
            tensors: `kernel`, `recurrent_kernel`, `kernel_scale`, and `bias` where
                there is one.
            given: not read.

        Returns:
            `x`: the inputs; for every gate `k` and `r`: kernels whose rows have mean 0
            over a group; `p`: scales of the inputs' part, then the biases of those
            that have one.
        """
        return {
            "x": [x],
            "k": self._centered(self._blocks(tensors["kernel"])),
            "r": self._centered(self._blocks(tensors["recurrent_kernel"])),
            "p": self._blocks(tensors["kernel_scale"]) + self._biases(tensors),
        }

    def gradients(
        self, x: Any, tensors: dict[str, Any], of_groups: dict[str, list[Any]]
    ) -> tuple[Any, dict[str, Any]]:
        """From the gradients of the groups to those of `x` and of the tensors."""
        n = len(self.cell.gates)
        # To take out a mean is its own transpose.
        found = {
            "kernel": self.join(self._centered(of_groups["k"])),
            "recurrent_kernel": self.join(self._centered(of_groups["r"])),
            "kernel_scale": self.join(of_groups["p"][:n]),
        }
        if "bias" in tensors:
            found["bias"] = self._bias_gradient(of_groups["p"][n:], tensors["bias"])
        return of_groups["x"][0], found

    def _blocks(self, tensor):
        return list(ops.split(tensor, len(self.cell.gates), axis=-1))

    def _centered(self, kernels):
        found = dict(zip(self.cell.gates, kernels))
        for group in self.cell.normalization.groups:
            mean = over_units(exact(self.join([found[k] for k in group])))
            for k in group:
                found[k] = ops.cast(exact(found[k]) - mean, found[k].dtype)
        return [found[k] for k in self.cell.gates]

    def _biases(self, tensors):
        """Biases of the gates that have one for their inputs' part or their sum."""
        return list(self.cell.normalization.biases(tensors.get("bias")).values())

    def _bias_gradient(self, of_gates, bias):
        cell = self.cell
        apart, of_gates = cell.normalization.product_biased, iter(of_gates)
        if not cell.recurrent_bias:
            # Those of products get theirs as vectors.
            none = ops.zeros_like(bias[: cell.units])
            return self.join(
                [none if k in apart else next(of_gates) for k in cell.biased]
            )
        first = list(of_gates)
        second = [
            ops.zeros_like(d) if k in apart else d for k, d in zip(cell.biased, first)
        ]
        return ops.stack([self.join(first), self.join(second)])


def inputs_gradient(
    a: Any,
    kernels: list[Any],
    scales: list[Any],
    factor: Any,
    d: list[Any],
    made: list[Any],
) -> tuple[Any, Any]:
    """The gradient of `a` from that of `a K` normalized, for the gates of a group.

    Args:
        a: `(time, batch, features)`.
        kernels: `K`, each `(features, units)`, with rows of mean 0 over all of them.
        scales: behind the normalization, each `(units,)`.
        factor: of the normalization, `(time, batch, 1)`.
        d: the gradients of what was made with the scales, `(time, batch, units)`.
        made: `a K`.

    Returns:
        It, and what `kernel_gradients` takes as `share`.
    """
    through = _sum(d_k @ ops.transpose(k * s) for d_k, k, s in zip(d, kernels, scales))
    along = ops.sum(exact(a) * exact(through), axis=-1, keepdims=True)
    share = factor * factor * factor * along / _width(kernels)
    if a.shape[-1] > _width(kernels):
        back = _sum(m @ ops.transpose(k) for m, k in zip(made, kernels))
    else:
        back = a @ _sum(k @ ops.transpose(k) for k in kernels)
    found = factor * exact(through) - share * exact(back)
    return ops.cast(found, a.dtype), share


def kernel_gradients(
    a: Any,
    kernels: list[Any],
    scales: list[Any],
    factor: Any,
    share: Any,
    d: list[Any],
    outer: Callable,
) -> tuple[list[Any], list[Any]]:
    """The gradients of the kernels and of the scales. Arguments as above.

    Args:
        share: how much of `a K` is taken out of the gradient, `(time, batch, 1)`.
        outer: the sum over steps and samples of outer products.
    """
    scaled = ops.cast(exact(a) * factor, a.dtype)
    weighted = ops.cast(exact(a) * share, a.dtype)
    direct = [outer(scaled, d_k) for d_k in d]
    if a.shape[-1] > _width(kernels):
        taken = [outer(weighted, a @ k) for k in kernels]
    else:
        square = outer(weighted, a)
        taken = [square @ k for k in kernels]
    of_kernels = [m * s - t for m, s, t in zip(direct, scales, taken)]
    return of_kernels, [ops.sum(k * m, axis=0) for k, m in zip(kernels, direct)]


def _width(kernels):
    return sum(kernel.shape[-1] for kernel in kernels)


def _sum(terms):
    return functools.reduce(operator.add, terms)
