"""Layers of Keras and ours with the same random weights; for `test_layers*.py`."""

import keras
import numpy as np

from keras_rnnx import layers

ROWS, STEPS, FEATURES, UNITS = 4, 6, 3, 5


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(
        numpy(found), numpy(expected), rtol=tolerance, atol=tolerance
    )


def randomize(layer, seed=0):
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))


def pair(name, **kwargs):
    """Keras' layer and ours with the same random weights."""
    theirs = getattr(keras.layers, name)(UNITS, **kwargs)
    ours = getattr(layers, name)(UNITS, **kwargs)
    for layer in (theirs, ours):
        layer.build((ROWS, STEPS, FEATURES))
    randomize(theirs)
    ours.set_weights(theirs.get_weights())
    return theirs, ours


MASKS = {
    "none": None,
    "right": np.arange(STEPS) < np.array([[1], [3], [6], [4]]),
    "holes": np.array(
        [[0, 1, 1, 0, 1, 0], [1, 0, 0, 1, 1, 1], [0] * 6, [0, 0, 0, 0, 0, 1]], bool
    ),
}
