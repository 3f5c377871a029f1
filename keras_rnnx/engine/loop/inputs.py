"""What the inputs add to every gate at every step: products outside of the loop."""

from __future__ import annotations

import functools
import operator
from typing import Any

from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.engine import _precision, backends

RECURRENT = "recurrent_kernel"
PROJECTION = "projection_kernel"


class Projection:
    """The inputs' part of the gates, and the blocks of the weights for the loop.

    Args:
        cell: the cell.
        merged: whether the gates stay side by side in one block, for loops that take
            them apart for nothing. Else a block is a gate: a product for each costs no
            more than one for all and needs no copies, here and in the loop.
    """

    def __init__(self, cell: Cell, merged: bool):
        self.cell = cell
        self.merged = merged
        self.backend = backends.current()
        self.apart = cell.product_biased
        # Side by side as the biases are stored: nothing is to be taken apart.
        self.as_stored = (
            merged and cell.whole and bool(self.apart) == bool(cell.recurrent_bias)
        )

    def __call__(
        self,
        x: Any,
        tensors: dict[str, Any],
        given: dict[str, Any] | None = None,
    ) -> dict[str, list[Any]]:
        """The groups of a recurrence that do not depend on its states.

        Args:
            x: inputs `(time, batch, features)`.
            tensors: `kernel`, and the others of the weights as far as there are.
            given: what a normalization of the parts needs for each step, by name.

        Returns:
            `x`: parts `(time, batch, width of the block)`, `r`: matrices of products in
            a step, `b`: biases of those that are not summed with the inputs' part.
        """
        biases, recurrent = self._biases(tensors)
        parts = self._products(x, tensors["kernel"], biases)
        if self.cell.normalization:
            parts = self._normalized(parts, tensors, given or {})
        return {
            "x": parts,
            "r": [
                *self._blocks(tensors, RECURRENT),
                *self._blocks(tensors, PROJECTION),
            ],
            "b": recurrent,
        }

    def _products(self, x, kernel, biases):
        flat = ops.reshape(x, (-1, x.shape[-1]))
        parts = []
        for block, bias in zip(self._blocks({"kernel": kernel}, "kernel"), biases):
            if block.dtype != x.dtype:
                parts.append(_precision.product(self.backend, x, block, bias))
                continue
            part = flat @ block
            part = part if bias is None else self.backend.plus_bias(part, bias)
            parts.append(ops.reshape(part, (*ops.shape(x)[:2], block.shape[-1])))
        return parts

    def _normalized(self, parts, tensors, given):
        cell = self.cell
        parts = dict(zip(cell.projected, parts))
        found = cell.normalization.inputs(parts, tensors, given)
        return [found[k] for k in cell.projected]

    def gradients(
        self, x: Any, tensors: dict[str, Any], of_groups: dict[str, list[Any]]
    ) -> tuple[Any, dict[str, Any]]:
        """From the gradients of the groups to those of `x` and of the tensors."""
        found = {}
        if self.cell.normalization:
            of_groups, found = self._before_normalization(x, tensors, of_groups)
        kernels = self._blocks(tensors, "kernel")
        d_x = functools.reduce(
            operator.add,
            [
                d @ ops.transpose(_precision.cast(k, d))
                for d, k in zip(of_groups["x"], kernels)
            ],
        )
        join = functools.partial(self.backend.concatenate, axis=-1)
        found["kernel"] = join([self.backend.outer(x, d) for d in of_groups["x"]])
        n = len(of_groups["r"]) - len(self.cell.projection)
        of_matrices = {RECURRENT: of_groups["r"][:n], PROJECTION: of_groups["r"][n:]}
        found |= {name: join(list(d)) for name, d in of_matrices.items() if d}
        if "bias" in tensors and not self.cell.normalization:
            found["bias"] = self._of_bias(of_groups, join)
        return d_x, found

    def _of_bias(self, of_groups, join):
        """The gradient of the bias, from those of what it was added to."""
        cell = self.cell
        totals = [self.backend.total(d) for d in of_groups["x"]]
        of_products = of_groups.get("b", [])
        if self.as_stored:
            return ops.stack(totals + of_products) if of_products else totals[0]
        if self.merged:
            of_inputs = cell.blocks(totals[0], "kernel")
            if of_products:
                of_products = cell.blocks(of_products[0], RECURRENT)
            of_products = {k: of_products[k] for k in self.apart}
        else:
            of_inputs = dict(zip(cell.projected, totals))
            of_products = dict(zip(self.apart, of_products))
        if cell.recurrent_bias:
            recurrent = [of_products.get(k, of_inputs[k]) for k in cell.gates]
            return ops.stack([join(totals), join(recurrent)])
        found = of_inputs | of_products
        return join([found[k] for k in cell.biased])

    def _before_normalization(self, x, tensors, of_groups):
        """The groups with gradients of the products, and those of the weights that
        the normalization of the inputs' part has."""
        parts = self._products(x, tensors["kernel"], self._biases(tensors)[0])
        names = [*self.cell.normalization.tensors, "bias"]
        names = [name for name in names if name in tensors]
        n = len(parts)

        def normalize(inputs):
            return self._normalized(inputs[:n], dict(zip(names, inputs[n:])), {})

        _, pull = self.backend.pullback(
            normalize, [*parts, *(tensors[name] for name in names)]
        )
        gradients = list(pull(list(of_groups["x"]), range(n + len(names))))
        return of_groups | {"x": gradients[:n]}, dict(zip(names, gradients[n:]))

    def _blocks(self, tensors, name):
        if name not in tensors:
            return []
        tensor = tensors[name]
        if self.merged:
            return [tensor]
        return list(self.cell.blocks(tensor, name).values())

    def _biases(self, tensors):
        """Biases of the inputs' blocks, that of the product in them where summed; and
        those of products."""
        cell = self.cell
        n = 1 if self.merged else len(cell.projected)
        # A normalization brings in the biases behind it.
        if "bias" not in tensors or cell.normalization:
            return [None] * n, []
        bias = tensors["bias"]
        if self.as_stored:
            return ([bias[0]], [bias[1]]) if cell.recurrent_bias else ([bias], [])
        of_inputs, of_products = cell.biases_by_gate(bias)
        if not self.merged:
            found = [of_inputs.get(k) for k in cell.projected]
            return found, list(of_products.values())
        zeros = ops.zeros_like(bias[..., : cell.units])
        join = functools.partial(self.backend.concatenate, axis=-1)
        recurrent = [of_products.get(k, zeros) for k in cell.multiplied]
        return (
            [join([of_inputs.get(k, zeros) for k in cell.projected])],
            [join(recurrent)] if of_products else [],
        )
