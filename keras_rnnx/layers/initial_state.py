"""The states that sequences start from: zeros, learned ones, or noisy ones in training.

Counts of steps, sums that must not be negative, and the window of earlier inputs cannot
start at any number: they stay zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.cells._base.arguments import flag, number


class InitialState:
    """The initial states of a recurrent layer.

    Args:
        layer: the layer.
        trainable: whether each state has a learned vector.
        initializer: of these vectors.
        noise: standard deviation of normal noise in training.

    Raises:
        ValueError: for a wrong value, or with a stateful layer.
    """

    def __init__(
        self, layer: keras.layers.RNN, trainable: bool, initializer: Any, noise: float
    ):
        self.layer = layer
        self.trainable = flag("initial_state_trainable", trainable)
        self.initializer = keras.initializers.get(initializer)
        self.noise = number("initial_state_noise", noise)
        if self.noise < 0:
            raise ValueError(
                f"`initial_state_noise` is a standard deviation, at least 0; received "
                f"{noise!r}."
            )
        if layer.stateful and (self.trainable or self.noise):
            raise ValueError(
                f"stateful=True starts a batch from the last states of the one before, "
                f"but initial_state_trainable={trainable!r} and initial_state_noise="
                f"{noise!r} start it from others. Pass one of them."
            )
        self.weights: list[keras.Variable] = []

    def build(self) -> None:
        """Makes the learned vectors, one for each state that may start anywhere."""
        if not self.trainable or self.weights:
            return
        layer = self.layer
        sizes = keras.tree.flatten(layer.state_size)
        names = getattr(layer.cell, "states", None) or map(str, range(len(sizes)))
        # A window has no name, but is not free either.
        self.weights = [
            layer.add_weight(
                shape=(size,),
                name=f"initial_state_{name}",
                initializer=self.initializer,
            )
            for name, size, free in zip(names, sizes, self._free())
            if free
        ]

    def _free(self) -> list[bool]:
        """Whether each state can start at any number."""
        cell = self.layer.cell
        stacked = isinstance(cell, keras.layers.StackedRNNCells)
        return [free for c in (cell.cells if stacked else [cell]) for free in _free(c)]

    def of(self, zeros: list[Any]) -> list[Any]:
        """The states that a sequence starts from, without noise.

        Args:
            zeros: states of zeros, possibly nested.
        """
        if not self.weights:
            return zeros
        weights = iter(self.weights)

        def learned(zero: Any) -> Any:
            return zero + ops.cast(ops.convert_to_tensor(next(weights)), zero.dtype)

        return self._where_free(learned, zeros)

    def _where_free(self, change: Callable[[Any], Any], states: Any) -> Any:
        flat = keras.tree.flatten(states)
        changed = [change(s) if free else s for s, free in zip(flat, self._free())]
        return keras.tree.pack_sequence_as(states, changed)

    def noisy(self, states: list[Any]) -> list[Any]:
        """The states with noise, drawn from the stream of the cell."""
        cell, layer = self.layer.cell, self.layer
        seed = (cell if isinstance(cell, Cell) else layer).seed_generator

        def add(state: Any) -> Any:
            return state + keras.random.normal(
                ops.shape(state), stddev=self.noise, dtype=state.dtype, seed=seed
            )

        return self._where_free(add, states)


def _free(cell: keras.Layer) -> list[bool]:
    if not isinstance(cell, Cell):
        return [True] * len(keras.tree.flatten(cell.state_size))
    return [k in cell.states and k not in cell.state_kinds for k in cell.state_names]
