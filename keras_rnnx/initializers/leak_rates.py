"""Leak rates of many time scales."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_rnnx._gates import known_steps
from keras_rnnx._numbers import number
from keras_rnnx.initializers.seeds import Seeded

if TYPE_CHECKING:
    from keras_rnnx.cells import Cell


@keras.saving.register_keras_serializable("keras_rnnx")
class LeakRates(Seeded):
    """Leak rates whose time constants are spread evenly over orders of magnitude.

    The rate of each unit is `1 / tau`, with `tau` log-uniform between two numbers of
    steps: `LeakyRNN(64, leak=LeakRates(2, 100))`. The rates are drawn when the layer is
    built, and saved with its weights.

    Args:
        shortest: the shortest time constant in steps, at least 1; above 1 if the rates
            are learned. Default 2.
        longest: the longest time constant, at least `shortest`. Default None: the
            length of the sequences that the layer is built with.
        seed: an integer, a `keras.random.SeedGenerator` or None. Default None: random.

    Raises:
        ValueError: for numbers out of range.

    Example:

    >>> layer = keras_rnnx.layers.LeakyRNN(64, leak=LeakRates(2, 100, seed=1))
    >>> layer.build((None, None, 3))
    >>> steps = 1 / ops.convert_to_numpy(layer.cell.leak_rates)
    >>> bool(2 <= steps.min() < 10 and 20 < steps.max() <= 100)
    True
    """

    def __init__(
        self, shortest: float = 2.0, longest: float | None = None, seed: Any = None
    ):
        super().__init__(seed)
        self.shortest = number("shortest", shortest)
        self.longest = None if longest is None else number("longest", longest)
        bound = math.inf if self.longest is None else self.longest
        if not 1 <= self.shortest <= bound:
            raise ValueError(
                f"LeakRates needs 1 <= shortest <= longest, in steps; received "
                f"shortest={shortest!r}, longest={longest!r}."
            )

    def bind(self, cell: Cell, weight: str) -> LeakRates:
        """These rates for the sequences of a cell."""
        if self.longest is not None:
            return self
        new = copy.copy(self)
        steps = known_steps(cell, "LeakRates", "LeakRates(shortest, longest)")
        new.longest = float(max(steps, self.shortest))
        return new

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        # `bind` has set it.
        longest: Any = self.longest
        u = keras.random.uniform(shape, dtype="float32", seed=self.seed)
        # The rates themselves are clipped, so that rounding cannot leave the interval.
        rates = (1 / self.shortest) * (self.shortest / longest) ** u
        rates = ops.clip(rates, 1 / longest, 1 / self.shortest)
        return ops.cast(rates, dtype or keras.config.floatx())

    def get_config(self) -> dict[str, Any]:
        return {
            "shortest": self.shortest,
            "longest": self.longest,
            **super().get_config(),
        }
