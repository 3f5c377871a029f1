"""Products whose rows are normalized over units.

The mean over the units of `a K` is a product of `a` with the mean of the columns of `K`.
So it is taken from the weights, once a sequence, and not from every step; and gradients
are products with `a` in place of sums over units.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.cells.normalization import exact, over_units


class Centered:
    """The weights of a cell for a `NormalizedRecurrence`, a block for each group.

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
            `x`: the inputs; by group `k` and `r`: kernels whose rows have mean 0; `p`:
            scales of the inputs' part, then its biases where there are any.
        """
        return {
            "x": [x],
            "k": self._centered(self._grouped(tensors["kernel"])),
            "r": self._centered(self._grouped(tensors["recurrent_kernel"])),
            "p": self._grouped(tensors["kernel_scale"]) + self._biases(tensors),
        }

    def gradients(
        self, x: Any, tensors: dict[str, Any], of_groups: dict[str, list[Any]]
    ) -> tuple[Any, dict[str, Any]]:
        """From the gradients of the groups to those of `x` and of the tensors."""
        n = len(self.cell.normalization.groups)
        # To take out a mean is its own transpose.
        found = {
            "kernel": self._by_gate(self._centered(of_groups["k"])),
            "recurrent_kernel": self._by_gate(self._centered(of_groups["r"])),
            "kernel_scale": self._by_gate(of_groups["p"][:n]),
        }
        if "bias" in tensors:
            found["bias"] = self._bias_gradient(of_groups["p"][n:])
        return of_groups["x"][0], found

    def _grouped(self, tensor):
        """The columns of each group of gates side by side."""
        cell = self.cell
        blocks = ops.split(tensor, len(cell.gates), axis=-1)
        blocks = dict(zip(cell.gates, blocks))
        return [self.join([blocks[k] for k in g]) for g in cell.normalization.groups]

    def _by_gate(self, tensors):
        """The columns of all gates in their order."""
        blocks = {}
        for group, tensor in zip(self.cell.normalization.groups, tensors):
            blocks |= dict(zip(group, ops.split(tensor, len(group), axis=-1)))
        return self.join([blocks[k] for k in self.cell.gates])

    def _centered(self, kernels):
        return [ops.cast(exact(k) - over_units(exact(k)), k.dtype) for k in kernels]

    def _biases(self, tensors):
        """Biases of the groups, those of the recurrent part in them where summed."""
        if "bias" not in tensors:
            return []
        if not self.cell.recurrent_bias:
            return self._grouped(tensors["bias"])
        first, second = (self._grouped(tensors["bias"][i]) for i in range(2))
        return [a + b if s else a for a, b, s in zip(first, second, self._summed())]

    def _bias_gradient(self, of_groups):
        if not self.cell.recurrent_bias:
            return self._by_gate(of_groups)
        second = [
            d if s else ops.zeros_like(d) for d, s in zip(of_groups, self._summed())
        ]
        return ops.stack([self._by_gate(of_groups), self._by_gate(second)])

    def _summed(self):
        groups = self.cell.normalization.groups
        return [group[0] not in self.cell.apart for group in groups]


def inputs_gradient(
    a: Any, kernel: Any, scale: Any, factor: Any, d: Any, made: Any
) -> tuple[Any, Any]:
    """The gradient of `a` from that of `a K` normalized.

    Args:
        a: `(time, batch, features)`.
        kernel: `K`, `(features, width)`, with rows of mean 0.
        scale: behind the normalization, `(width,)`.
        factor: of the normalization, `(time, batch, 1)`.
        d: the gradient of what was made with the scale, `(time, batch, width)`.
        made: `a K`.

    Returns:
        It, and what `kernel_gradients` takes as `share`.
    """
    through = d @ ops.transpose(kernel * scale)
    along = ops.sum(exact(a) * exact(through), axis=-1, keepdims=True)
    share = factor * factor * factor * along / kernel.shape[1]
    if kernel.shape[0] > kernel.shape[1]:
        back = made @ ops.transpose(kernel)
    else:
        back = a @ (kernel @ ops.transpose(kernel))
    found = factor * exact(through) - share * exact(back)
    return ops.cast(found, a.dtype), share


def kernel_gradients(
    a: Any,
    kernel: Any,
    scale: Any,
    factor: Any,
    share: Any,
    d: Any,
    made: Any,
    outer: Any,
) -> tuple[Any, Any]:
    """The gradients of the kernel and of the scale. Arguments as above.

    Args:
        share: how much of `a K` is taken out of the gradient, `(time, batch, 1)`.
        outer: the sum over steps and samples of outer products.
    """
    direct = outer(ops.cast(exact(a) * factor, a.dtype), d)
    weighted = ops.cast(exact(a) * share, a.dtype)
    if kernel.shape[0] > kernel.shape[1]:
        taken = outer(weighted, made)
    else:
        taken = outer(weighted, a) @ kernel
    of_scale = ops.sum(kernel * direct, axis=0)
    return direct * scale - taken, of_scale


def split(tensor: Any, widths: Sequence[int]) -> list[Any]:
    """Blocks of the last axis."""
    if len(widths) == 1:
        return [tensor]
    stops = [sum(widths[: i + 1]) for i in range(len(widths) - 1)]
    return ops.split(tensor, stops, axis=-1)
