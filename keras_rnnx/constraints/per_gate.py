"""A constraint for each gate."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_rnnx import _gates

if TYPE_CHECKING:
    from keras_rnnx.cells import Cell


@keras.saving.register_keras_serializable("keras_rnnx", name="PerGateConstraint")
class PerGate(keras.constraints.Constraint):
    """Constrains the block of each gate separately.

    For kernels, recurrent kernels and biases of cells of keras_rnnx. In other layers it
    recognizes the gates of recurrent kernels `(n, k n)` by their shape.

    Args:
        constraint: in any form that `keras.constraints.get` takes, for all gates; or a
            dict of them by gate, where "default" is for the other gates. Gates without
            one, or with None, are free.

    Raises:
        ValueError: when a cell without these gates is built; in other layers, if the
            shape does not show the gates.

    Example:

    >>> constraint = PerGate({"f": "non_neg"})
    >>> layer = keras_rnnx.layers.LSTM(4, bias_constraint=constraint)
    """

    _by_gate: list[Any] | None = None

    def __init__(self, constraint: Any):
        self.constraint = _gates.resolved(constraint, keras.constraints.get)

    def bind(self, cell: Cell, weight: str) -> PerGate:
        """This constraint for a weight of a cell."""
        new = copy.copy(self)
        new._by_gate = self.of_gates(cell, weight)
        return new

    def of_gates(self, cell: Cell, weight: str) -> list[Any]:
        """The object for each gate of a weight of a cell."""
        return _gates.by_gate(self.constraint, cell, weight, complete=False)

    def __call__(self, w: Any) -> Any:
        w = ops.convert_to_tensor(w)
        by_gate = self._by_gate
        if by_gate is None:
            by_gate = _gates.guessed(self.constraint, w.shape)
        blocks = ops.split(w, len(by_gate), axis=-1)
        return ops.concatenate(
            [
                b if constraint is None else constraint(b)
                for constraint, b in zip(by_gate, blocks)
            ],
            axis=-1,
        )

    def get_config(self) -> dict[str, Any]:
        config = _gates.serialized(self.constraint, keras.constraints.serialize)
        return {"constraint": config}
