"""Elementwise constraints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_rnnx._gates import known_steps
from keras_rnnx._numbers import integer

if TYPE_CHECKING:
    from keras_rnnx.cells import Cell


@keras.saving.register_keras_serializable("keras_rnnx")
class UnitRange(keras.constraints.Constraint):
    """Keeps recurrent weights `u` of independent units in `abs(u) <= 2 ** (1 / steps)`.

    Over `steps` steps, an independently recurrent network then multiplies states and
    gradients by at most 2. Li, Li, Cook, Zhu & Gao 2018, arXiv:1803.04831.

    Args:
        steps: length of the sequences, at least 1. Default None: the length that the
            layer is built with.

    Raises:
        ValueError: if `steps` is not a positive integer; without it, if the length is
            not known.

    Example:

    >>> ops.convert_to_numpy(UnitRange(1)(np.array([-3.0, 0.5, 2.5]))).tolist()
    [-2.0, 0.5, 2.0]
    """

    def __init__(self, steps: int | None = None):
        self.steps = None if steps is None else integer("steps", steps, least=1)

    def bind(self, cell: Cell, weight: str) -> UnitRange:
        """This constraint for the sequences of a cell."""
        if self.steps is not None:
            return self
        return UnitRange(known_steps(cell, "UnitRange", "UnitRange(steps)"))

    def __call__(self, w: Any) -> Any:
        if self.steps is None:
            raise ValueError(
                "UnitRange() takes the length of the sequences from a cell or layer of "
                "keras_rnnx; elsewhere pass UnitRange(steps)."
            )
        bound = 2.0 ** (1 / self.steps)
        return ops.clip(ops.convert_to_tensor(w), -bound, bound)

    def get_config(self) -> dict[str, Any]:
        return {"steps": self.steps}
