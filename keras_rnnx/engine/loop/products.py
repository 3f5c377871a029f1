"""Products with the matrices of the gates in a step."""

from __future__ import annotations

import functools
import operator

from keras import ops

from keras_rnnx.cells._base.layout import Layout
from keras_rnnx.engine.backends.protocol import Backend, Tensor


class Products:
    """Products with the matrices of a cell's gates, or with the transposed ones.

    XLA runs one operation after the other, so that one wide product is faster than one
    for each gate. A graph runs the products of the gates in parallel.

    Args:
        layout: the gates.
        matrices: the matrices of the products, by gate.
        backend: one of the backend files of this package.
        xla: whether XLA compiles them.
    """

    def __init__(
        self,
        layout: Layout,
        matrices: dict[str, Tensor],
        backend: Backend,
        xla: bool,
    ):
        self.backend = backend
        self.early = layout.early_gates
        self.merged = xla and len(self.early) > 1
        if self.merged:
            of_early = [matrices[k] for k in self.early]
            self.side_by_side = backend.concatenate(of_early, 1)
            self.stacked = backend.concatenate(of_early, 0)
        beside = len(self.early)
        self.products = {
            gate: backend.product(matrix, beside, xla)
            for gate, matrix in matrices.items()
        }

    def one(self, gate: str, vector: Tensor) -> Tensor:
        """The product of a vector with the matrix of a gate."""
        return self.products[gate](vector)

    def each(self, vector: Tensor) -> dict[str, Tensor]:
        """The products of a vector with the matrices of all gates except late ones."""
        if self.merged:
            parts = ops.split(vector @ self.side_by_side, len(self.early), axis=-1)
            return dict(zip(self.early, parts))
        return {k: self.products[k](vector) for k in self.early}

    def total(self, vectors: dict[str, Tensor]) -> Tensor:
        """The sum over these gates of the products of their vectors."""
        if self.merged:
            joined = self.backend.concatenate([vectors[k] for k in self.early], -1)
            return joined @ self.stacked
        return functools.reduce(
            operator.add, [self.products[k](vectors[k]) for k in self.early]
        )
