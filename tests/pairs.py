"""Layers of Keras and ours with the same random weights; for `test_layers*.py`."""

import keras
import numpy as np
from tensors import randomize

from keras_rnnx import layers

ROWS, STEPS, FEATURES, UNITS = 4, 6, 3, 5


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
