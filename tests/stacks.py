"""Stacks with random weights, and the same by hand; for the tests of `layers.Stack`."""

import keras
import numpy as np
from tensors import numpy, randomize

from keras_rnnx import layers

ROWS, STEPS, FEATURES, UNITS = 4, 6, 3, 5
NAMES = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "SimpleRNN"}
MASKS = {
    "none": None,
    "right": np.arange(STEPS) < np.array([[1], [3], [6], [4]]),
    "holes": np.array(
        [[0, 1, 1, 0, 1, 0], [1, 0, 0, 1, 1, 1], [0] * 6, [0, 0, 0, 0, 0, 1]], bool
    ),
}


def random(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def built(*args, features=FEATURES, batch=ROWS, **kwargs):
    """A stack with random weights."""
    stack = layers.Stack(*args, **kwargs)
    stack.build((batch, STEPS, features))
    randomize(stack)
    return stack


def by_hand(stack, name, x, mask=None, states=None, wrap=lambda layer: layer):
    """Keras' layers with the weights of a stack, one after the other."""
    weights, found = [numpy(w) for w in stack.weights], []
    for k, units in enumerate(stack.units):
        layer = getattr(keras.layers, NAMES[name])(
            units,
            return_sequences=stack.return_sequences or k < stack.depth - 1,
            return_state=True,
            zero_output_for_mask=stack.zero_output_for_mask,
        )
        layer = wrap(layer)
        layer.build(x.shape)
        count = len(layer.weights)
        layer.set_weights(weights[:count])
        weights = weights[count:]
        given = states and states[k]
        x, *last = layer(x, mask=mask, initial_state=given)
        found.extend(last)
    assert not weights
    return [x, *found]
