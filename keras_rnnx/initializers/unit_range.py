"""Recurrent weights of independent units that neither forget nor explode."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_rnnx._gates import known_steps
from keras_rnnx._numbers import integer
from keras_rnnx.initializers.seeds import Seeded

if TYPE_CHECKING:
    from keras_rnnx.cells import Cell


@keras.saving.register_keras_serializable("keras_rnnx", name="UnitRangeInitializer")
class UnitRange(Seeded):
    """Uniform in `[2 ** (-1 / steps), 2 ** (1 / steps)]`, for independent units.

    Over `steps` steps, an independently recurrent network multiplies a state by a
    number from 1/2 to 2. `keras_rnnx.constraints.UnitRange` keeps the upper bound in
    training. Li, Li, Cook, Zhu & Gao 2018, arXiv:1803.04831, use it for the last layer
    of a stack, or for a single layer.

    Args:
        steps: length of the sequences, at least 1. Default None: the length that the
            layer is built with.
        seed: an integer, a `keras.random.SeedGenerator` or None. Default None: random.

    Raises:
        ValueError: if `steps` is not a positive integer; without it, if the length is
            not known.

    Example:

    >>> weights = ops.convert_to_numpy(UnitRange(10, seed=1)((50,)))
    >>> bool(weights.min() >= 2**-0.1 and weights.max() <= 2**0.1)
    True
    """

    def __init__(self, steps: int | None = None, seed: Any = None):
        super().__init__(seed)
        self.steps = None if steps is None else integer("steps", steps, least=1)

    def bind(self, cell: Cell, weight: str) -> UnitRange:
        """This initializer for the sequences of a cell."""
        if self.steps is not None:
            return self
        new = copy.copy(self)
        new.steps = known_steps(cell, "UnitRange", "UnitRange(steps)")
        return new

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        if self.steps is None:
            raise ValueError(
                "UnitRange() takes the length of the sequences from a cell or layer of "
                "keras_rnnx; elsewhere pass UnitRange(steps)."
            )
        low, high = (2.0 ** (sign / self.steps) for sign in (-1, 1))
        values = keras.random.uniform(shape, low, high, dtype="float32", seed=self.seed)
        return ops.cast(values, dtype or keras.config.floatx())

    def get_config(self) -> dict[str, Any]:
        return {"steps": self.steps, **super().get_config()}
