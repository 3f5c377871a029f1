"""A constraint for each gate apart."""

from __future__ import annotations

import copy
from typing import Any

import keras
from keras import ops

from keras_rnnx import _gates


@keras.saving.register_keras_serializable("keras_rnnx", name="PerGateConstraint")
class PerGate(keras.constraints.Constraint):
    """Constrains the block of each gate apart.

    For kernels, recurrent kernels and biases of cells of keras_rnnx. In other layers it
    finds the gates of recurrent kernels `(n, k n)` by their shape.

    Args:
        constraint: what `keras.constraints.get` takes, for all gates; or a dict of such
            by the names of gates, where "default" stands for those left out. Gates for
            which there is none, or None, are free.

    Raises:
        ValueError: when a cell is built that has not these gates; elsewhere, where the
            shape does not tell the gates.

    Example:

    >>> constraint = PerGate({"f": "non_neg"})
    >>> layer = keras_rnnx.layers.LSTM(4, bias_constraint=constraint)
    """

    _by_gate: list[Any] | None = None

    def __init__(self, constraint: Any):
        self.constraint = _gates.resolved(constraint, keras.constraints.get)

    def bind(self, cell: Any, weight: str) -> PerGate:
        """This constraint for a weight of a cell."""
        new = copy.copy(self)
        new._by_gate = self.of_gates(cell, weight)
        return new

    def of_gates(self, cell: Any, weight: str) -> list[Any]:
        """What each gate of a weight of a cell has of it."""
        return _gates.by_gate(self.constraint, cell, weight, complete=False)

    def __call__(self, w):
        w = ops.convert_to_tensor(w)
        found = self._by_gate
        if found is None:
            found = _gates.guessed(self.constraint, w.shape)
        blocks = ops.split(w, len(found), axis=-1)
        return ops.concatenate(
            [b if one is None else one(b) for one, b in zip(found, blocks)], axis=-1
        )

    def get_config(self):
        found = _gates.serialized(self.constraint, keras.constraints.serialize)
        return {"constraint": found}
