"""The states of the stateful layers in a model."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from keras_rnnx._sublayers import path, walk


def layers(model: keras.Layer) -> dict[str, keras.Layer]:
    """The stateful layers with states in a model, including nested ones, by path."""
    return {
        path(owners, layer) or layer.name: layer
        for owners, layer in walk(model)
        # A stack holds such layers, but is not a `keras.layers.RNN` itself.
        if isinstance(layer, keras.layers.RNN) and layer.stateful and layer.states
    }


def variables(model: keras.Layer) -> list[keras.Variable]:
    """The states of all stateful layers in a model."""
    return [
        state
        for layer in layers(model).values()
        for state in keras.tree.flatten(layer.states)
    ]


def reset(model: keras.Layer) -> None:
    """Sets the states of all stateful layers in a model to zero."""
    for state in variables(model):
        state.assign(np.zeros(state.shape, state.dtype))


def get(model: keras.Layer) -> list[np.ndarray]:
    """Copies of the states of all stateful layers in a model."""
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables(model)]


def put(model: keras.Layer, values: Sequence[np.ndarray]) -> None:
    """Restores the states that `get` returned."""
    for state, value in zip(variables(model), values, strict=True):
        state.assign(value)


def lost(model: keras.Layer) -> list[str]:
    """Paths of the stateful layers whose states are lost after a step of `fit`.

    On JAX, Keras does not keep the states of its own layers from step to step.
    """
    if keras.backend.backend() != "jax":
        return []
    carried = {id(variable) for variable in model.non_trainable_variables}
    return [
        name
        for name, layer in layers(model).items()
        if not carried.issuperset(map(id, keras.tree.flatten(layer.states)))
    ]
