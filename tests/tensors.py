"""What tests do with tensors: make arrays of them, compare them, draw weights."""

import keras
import numpy as np


def numpy(tensor):
    """A tensor of the backend as an array."""
    return keras.ops.convert_to_numpy(tensor)


def arrays(tensors):
    """All tensors of a nested structure as arrays, in one list."""
    return [numpy(tensor) for tensor in keras.tree.flatten(tensors)]


def close(found, expected, tolerance=1e-5):
    """Two tensors are equal up to a tolerance, absolute and relative."""
    np.testing.assert_allclose(
        numpy(found), numpy(expected), rtol=tolerance, atol=tolerance
    )


def all_close(found, expected, tolerance=1e-5):
    """So are all tensors of two nested structures, in their order."""
    for a, b in zip(arrays(found), arrays(expected), strict=True):
        close(a, b, tolerance)


def randomize(layer, seed=0, scale=0.5):
    """Draws every trainable weight of a layer or a model, biases too.

    Args:
        layer: built.
        seed: a number, or a generator of NumPy, which draws on.
        scale: the standard deviation. Default 0.5.
    """
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        variable.assign(scale * rng.normal(size=variable.shape))
