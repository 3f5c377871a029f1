"""The states of the stateful layers in a model, which its files do not hold."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from keras_rnnx import _states


def get_states(model: keras.Layer) -> dict[str, np.ndarray]:
    """Copies of the states of all stateful layers in a model.

    Neither `.keras` nor weights files hold them: a model that is loaded starts from
    zeros. Keep them beside, with `numpy.savez(file, **states)` for one.

    Args:
        model: a Keras model or layer that is built. It may hold stateful layers of
            keras_rnnx and of Keras, at any depth.

    Returns:
        The states by the path of the layer and the number of the state,
        "stack/level_1/lstm_1/0"; empty without stateful layers.

    Example:

    >>> model = keras_rnnx.models.zaremba("small", vocabulary=20, units=4)
    >>> states = keras_rnnx.models.get_states(model)
    >>> states["stack/level_2/lstm_2/1"].shape
    (20, 4)
    """
    return {
        name: np.array(keras.ops.convert_to_numpy(variable))
        for name, variable in _variables(model).items()
    }


def set_states(model: keras.Layer, states: Mapping[str, np.ndarray]) -> None:
    """Sets the states of all stateful layers in a model.

    Args:
        model: a Keras model or layer that is built.
        states: what `get_states` returned, of this or an equal model.

    Raises:
        ValueError: if they are not those of this model; none is set then.
    """
    variables = _variables(model)
    expected = {name: tuple(v.shape) for name, v in variables.items()}
    received = {name: tuple(np.shape(value)) for name, value in states.items()}
    if expected != received:
        wrong = sorted(set(expected.items()) ^ set(received.items()))
        raise ValueError(
            f"These are not the states of model {model.name!r}: it has {expected}, "
            f"received {received}. They differ in {sorted({n for n, _ in wrong})}. "
            f"The names of layers and the batch size must be equal."
        )
    for name, variable in variables.items():
        variable.assign(states[name])


def reset_states(model: keras.Layer) -> None:
    """Sets the states of all stateful layers in a model to zero.

    Args:
        model: a Keras model or layer.
    """
    for variable in _variables(model).values():
        variable.assign(np.zeros(variable.shape, variable.dtype))


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    return {
        f"{name}/{k}": state
        for name, layer in _states.layers(model).items()
        for k, state in enumerate(keras.tree.flatten(layer.states))
    }
