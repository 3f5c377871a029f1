"""Products with the recurrent kernels of the gates, in a step."""

from __future__ import annotations

import functools
import operator
from types import ModuleType
from typing import Any

from keras import ops

from keras_rnnx.cells import Cell


class Products:
    """Products with the kernels of a cell's gates, or with the transposed ones.

    XLA runs one operation after the other, and one wide product is faster than one for
    each gate. A graph runs those side by side.

    Args:
        cell: the cell.
        matrices: for each gate in `cell.products`, in its order.
        backend: one of the backend files of this package.
        xla: whether they are compiled by XLA.
    """

    def __init__(self, cell: Cell, matrices: list[Any], backend: ModuleType, xla: bool):
        self.backend = backend
        self.early = [k for k in cell.products if k not in cell.late]
        self.matrices = dict(zip(cell.products, matrices))
        self.merged = xla and len(self.early) > 1
        of_early = [self.matrices[k] for k in self.early]
        if self.merged:
            self.side_by_side = backend.concatenate(of_early, 1)
            self.stacked = backend.concatenate(of_early, 0)
        beside = len(self.early)
        products = [backend.product(m, beside, xla) for m in matrices]
        self.products = dict(zip(cell.products, products))

    def one(self, gate: str, vector: Any) -> Any:
        """The product of a vector with the matrix of a gate."""
        return self.products[gate](vector)

    def each(self, vector: Any) -> dict[str, Any]:
        """The products of a vector with the matrices of all gates but late ones."""
        if self.merged:
            parts = ops.split(vector @ self.side_by_side, len(self.early), axis=-1)
            return dict(zip(self.early, parts))
        return {k: self.products[k](vector) for k in self.early}

    def total(self, vectors: dict[str, Any]) -> Any:
        """The sum over these gates of the product of each one's own vector."""
        vectors = [vectors[k] for k in self.early]
        if self.merged:
            return self.backend.concatenate(vectors, -1) @ self.stacked
        products = [self.products[k](v) for k, v in zip(self.early, vectors)]
        return functools.reduce(operator.add, products)
