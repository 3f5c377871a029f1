"""Several regularizers as one."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import keras

from keras_rnnx._gates import bound

if TYPE_CHECKING:
    from keras_rnnx.cells import Cell


@keras.saving.register_keras_serializable("keras_rnnx")
class Sum(keras.regularizers.Regularizer):
    """The sum of several regularizers, of weights or of activities.

    Recurrent layers of keras_rnnx take a list as `activity_regularizer` and make a
    `Sum` of it; elsewhere Keras needs a single object.

    Args:
        *regularizers: in any form that `keras.regularizers.get` takes.

    Raises:
        ValueError: if there is none, or one that Keras does not know.

    Example:

    >>> penalty = Sum(keras.regularizers.L1(1.0), keras.regularizers.L2(2.0))
    >>> float(penalty(ops.ones((3,))))
    9.0
    """

    def __init__(self, *regularizers: Any):
        self.regularizers = [keras.regularizers.get(r) for r in regularizers]
        if not regularizers or None in self.regularizers:
            raise ValueError(
                f"Sum takes one or more regularizers, received {regularizers!r}."
            )

    def bind(self, cell: Cell, weight: str) -> Sum:
        """This sum for a weight of a cell."""
        return self._of(
            bound(regularizer, cell, weight) for regularizer in self.regularizers
        )

    @property
    def gradient_flow(self) -> float:
        """The rate of `GradientFlow` in it, which engines read."""
        return sum(
            getattr(regularizer, "gradient_flow", 0.0)
            for regularizer in self.regularizers
        )

    def of_layer(self) -> Sum:
        """This sum for one recurrent layer of keras_rnnx."""
        return self._of(
            regularizer.of_layer() if hasattr(regularizer, "of_layer") else regularizer
            for regularizer in self.regularizers
        )

    def begin(self, mask: Any) -> None:
        """Passes the mask to the regularizers that need it."""
        for regularizer in self.regularizers:
            if hasattr(regularizer, "begin"):
                regularizer.begin(mask)

    def _of(self, regularizers: Iterable[Any]) -> Sum:
        new = copy.copy(self)
        new.regularizers = list(regularizers)
        return new

    def __call__(self, x: Any) -> Any:
        first, *others = [regularizer(x) for regularizer in self.regularizers]
        return sum(others, start=first)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.regularizers.serialize
        return {
            "regularizers": [
                serialize(regularizer) for regularizer in self.regularizers
            ]
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sum:
        return cls(*config["regularizers"])


def on_sequences(regularizer: Any) -> list[str]:
    """The names of the regularizers in `regularizer` that need all steps."""
    if isinstance(regularizer, Sum):
        return [n for inner in regularizer.regularizers for n in on_sequences(inner)]
    return [type(regularizer).__name__] if hasattr(regularizer, "begin") else []


def for_layer(regularizer: Any) -> Any:
    """The object that a recurrent layer keeps as its activity regularizer.

    Args:
        regularizer: in any form that `keras.regularizers.get` takes, or a list.
    """
    if isinstance(regularizer, (list, tuple)):
        regularizer = Sum(*regularizer)
    regularizer = keras.regularizers.get(regularizer)
    # A copy, so that each layer has its own mask.
    return regularizer.of_layer() if hasattr(regularizer, "of_layer") else regularizer
