"""Every cell of the catalogue as a layer with random weights; for `test_every_*.py`."""

import catalogue
import keras
import numpy as np

from keras_rnnx import cells, layers
from keras_rnnx.cells.registry import lookup

ROWS, STEPS, FEATURES, UNITS = 3, 5, 3, 4
LENGTHS = (5, 2, 3)
MASK = np.arange(STEPS) < np.array(LENGTHS)[:, None]
# Taken from the registry, so that a new cell is here too.
NAMES = [
    row.name
    for row in cells.catalog()
    if row.cls.__module__.startswith("keras_rnnx.cells.")
]
# With the options that change an equation: configs have to keep them.
VARIANTS = {name: (name, {}) for name in NAMES}
VARIANTS |= {
    variant: (name, arguments)
    for variant, (name, arguments, _) in catalogue.VARIANTS.items()
}


def float64(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float64"))


def close(found, expected, tolerance=1e-5, what=""):
    """Of the largest value, or of one where all are smaller."""
    found, expected = float64(found), float64(expected)
    scale = max(1.0, float(np.max(np.abs(expected))))
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=tolerance * scale, err_msg=what
    )


def layer_class(name):
    """The named layer of a cell, which each has."""
    (found,) = [
        layer
        for layer in map(vars(layers).get, layers.__all__)
        if getattr(layer, "cell_class", None) is lookup(name)
    ]
    return found


def data(dtype="float32", seed=0):
    x = np.random.default_rng(seed).normal(size=(ROWS, STEPS, FEATURES))
    return x.astype(dtype)


def randomize(layer, seed=0):
    """Other weights than any other layer: as they are, with noise."""
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        start = float64(variable)
        variable.assign(start + 0.5 * rng.normal(size=variable.shape))


def made(variant, features=FEATURES, draw=0, **kwargs):
    """The named layer of a variant, built, with random weights."""
    name, arguments = VARIANTS[variant]
    units = {"units": catalogue.UNITS} if arguments else {"units": UNITS}
    options = {"return_sequences": True, **units, **arguments, **kwargs}
    layer = layer_class(name)(**options)
    layer.build((None, None, features))
    randomize(layer, draw)
    return layer
