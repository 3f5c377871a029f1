"""What the inputs add to every gate at every step: products outside of the loop."""

from __future__ import annotations

import functools
import operator
from typing import Any

from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.engine import backends


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

    def __call__(
        self,
        x: Any,
        tensors: dict[str, Any],
        given: dict[str, Any] | None = None,
    ) -> dict[str, list[Any]]:
        """The groups of a recurrence that do not depend on its states.

        Args:
            x: inputs `(time, batch, features)`.
            tensors: `kernel`, `recurrent_kernel`, `bias` where there is one.
            given: what a normalization of the parts needs for each step, by name.

        Returns:
            `x`: parts `(time, batch, width of the block)`, `r`: recurrent kernels, `b`:
            recurrent biases of the gates that are not summed.
        """
        biases, recurrent = self._biases(tensors)
        parts = self._products(x, tensors["kernel"], biases)
        if self.cell.normalization:
            parts = self._normalized(parts, tensors, given or {})
        return {
            "x": parts,
            "r": self._blocks(tensors["recurrent_kernel"]),
            "b": recurrent,
        }

    def _products(self, x, kernel, biases):
        flat = ops.reshape(x, (-1, x.shape[-1]))
        parts = []
        for block, bias in zip(self._blocks(kernel), biases):
            part = flat @ block
            part = part if bias is None else part + bias
            parts.append(ops.reshape(part, (*ops.shape(x)[:2], block.shape[-1])))
        return parts

    def _normalized(self, parts, tensors, given):
        cell = self.cell
        found = cell.normalization.inputs(dict(zip(cell.gates, parts)), tensors, given)
        return [found[k] for k in cell.gates]

    def gradients(
        self, x: Any, tensors: dict[str, Any], of_groups: dict[str, list[Any]]
    ) -> tuple[Any, dict[str, Any]]:
        """From the gradients of the groups to those of `x` and of the tensors."""
        found = {}
        if self.cell.normalization:
            of_groups, found = self._before_normalization(x, tensors, of_groups)
        kernels = self._blocks(tensors["kernel"])
        d_x = functools.reduce(
            operator.add,
            [d @ ops.transpose(k) for d, k in zip(of_groups["x"], kernels)],
        )
        join = functools.partial(self.backend.concatenate, axis=-1)
        found |= {
            "kernel": join([self.backend.outer(x, d) for d in of_groups["x"]]),
            "recurrent_kernel": join(list(of_groups["r"])),
        }
        if "bias" in tensors and not self.cell.normalization:
            totals = [self.backend.total(d) for d in of_groups["x"]]
            found["bias"] = join(totals)
            if self.cell.recurrent_bias:
                apart = dict(zip(self._apart(), of_groups.get("b", [])))
                recurrent = [apart.get(i, t) for i, t in enumerate(totals)]
                found["bias"] = ops.stack([found["bias"], join(recurrent)])
        return d_x, found

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

    def _blocks(self, tensor):
        n = 1 if self.merged else len(self.cell.gates)
        return ops.split(tensor, n, axis=-1) if n > 1 else [tensor]

    def _apart(self):
        """The blocks whose recurrent part is not summed with that of the inputs."""
        if self.merged:
            return [0] if self.cell.split else []
        apart = (*self.cell.split, *self.cell.late)
        return [i for i, gate in enumerate(self.cell.gates) if gate in apart]

    def _biases(self, tensors):
        """Biases of the blocks, that of the recurrent part in them where summed."""
        n = 1 if self.merged else len(self.cell.gates)
        # A normalization brings in the biases behind it.
        if "bias" not in tensors or self.cell.normalization:
            return [None] * n, []
        if not self.cell.recurrent_bias:
            return self._blocks(tensors["bias"]), []
        inputs, recurrent = (self._blocks(tensors["bias"][i]) for i in range(2))
        apart = self._apart()
        sums = [
            i if k in apart else i + r
            for k, (i, r) in enumerate(zip(inputs, recurrent))
        ]
        return sums, [recurrent[k] for k in apart]
