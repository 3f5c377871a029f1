"""What cures change of a copy of a model, before it is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras

# A function from a layer to the one in its place, and whether its gates are the same.
Change = Callable[[keras.Layer], tuple[keras.Layer, bool]]


class Refused(Exception):
    """A cure can't be applied to this model, with the reason."""


@dataclasses.dataclass
class Treatment:
    """What cures change.

    Attributes:
        model: the model as it is.
        layers: its recurrent layers by name.
        x: inputs for training, one array or a structure of arrays.
        changes: of layers, by their `id`.
        redrawn: names of weights that are drawn anew though they would fit, by the
            `id` of the layer.
        optimizer: arguments of the optimizer that change.
        front: a layer in front of the model, or None.
        convert: whether layers of this package take the place of those of Keras.
        patience: number of validations without a better loss after which training
            ends, with the best weights; None to train to the end.
    """

    model: keras.Model
    layers: dict[str, keras.layers.RNN]
    x: Any
    changes: dict[int, Change] = dataclasses.field(default_factory=dict)
    redrawn: dict[int, frozenset[str]] = dataclasses.field(default_factory=dict)
    optimizer: dict[str, Any] = dataclasses.field(default_factory=dict)
    front: keras.Layer | None = None
    convert: bool = False
    patience: int | None = None
