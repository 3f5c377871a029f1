"""Every registered cell with its variants, and the oracle for each."""

import numpy as np
import oracles

from keras_rnnx import cells, layers

UNITS = 7
RATES = np.linspace(0.1, 1.0, UNITS).tolist()

# name of the variant: (catalogue name, arguments, oracle)
VARIANTS = {
    "lstm": ("lstm", {}, oracles.lstm),
    "gru": ("gru", {}, oracles.gru_v1),
    "gru_reset_before": ("gru", {"reset_after": False}, oracles.gru_v3),
    "simple_rnn": ("simple_rnn", {}, oracles.simple_rnn),
    "simple_rnn_relu": (
        "simple_rnn",
        {"activation": "relu"},
        oracles.leaky(1.0, oracles.relu),
    ),
    "leaky_rnn": ("leaky_rnn", {}, oracles.leaky(0.5)),
    "leaky_rnn_per_unit": (
        "leaky_rnn",
        {"leak": RATES, "activation": "relu"},
        oracles.leaky(RATES, oracles.relu),
    ),
    "leaky_rnn_learned": (
        "leaky_rnn",
        {"leak": 0.3, "leak_trainable": True, "activation": "leaky_relu"},
        oracles.leaky(None, oracles.leaky_relu),
    ),
}


def make(variant, **kwargs):
    name, arguments, _ = VARIANTS[variant]
    return cells.get(name, units=UNITS, **{**arguments, **kwargs})


def built(variant, features=4, **kwargs):
    """A layer with random weights that returns sequences."""
    layer = layers.RNN(make(variant), return_sequences=True, **kwargs)
    layer.build((None, None, features))
    rng = np.random.default_rng(0)
    for variable in layer.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))
    return layer
