"""Keras' models, and what must hold of them converted; for `test_conversion*.py`."""

import keras
import numpy as np
from keras import layers
from tensors import arrays

import keras_rnnx

FEATURES = 3
STEPS = 5
BATCH = 4


def randomize(layer, seed=0):
    """Gives every weight, biases included, values of its own."""
    random = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(random.normal(0, 0.6, weight.shape))


def sample(seed=1):
    """Sequences with steps to mask: none, some anywhere, all but one, the last."""
    x = np.random.default_rng(seed).normal(size=(BATCH, STEPS, FEATURES))
    x[1, [0, 2]] = x[2, :4] = x[3, 3:] = 0
    return x.astype("float32")


def run(model, *inputs, **kwargs):
    compiled = isinstance(model, keras.Model) and not kwargs
    return arrays((model.predict_on_batch if compiled else model)(*inputs, **kwargs))


def assert_equal(first, second, tolerance=1e-5):
    first, second = arrays(first), arrays(second)
    assert len(first) == len(second)
    for a, b in zip(first, second):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def recurrent(layer):
    """The recurrent layers in a layer, as the tests hold them to be."""
    found = {}

    def visit(value):
        if isinstance(value, keras.Layer) and id(value) not in found:
            found[id(value)] = value
            visit(list(vars(value).values()))
            visit(value.layers if isinstance(value, keras.Model) else [])
        elif isinstance(value, dict):
            visit(list(value.values()))
        elif isinstance(value, (list, tuple, set)):
            for item in value:
                visit(item)

    visit(layer)
    return [v for v in found.values() if isinstance(v, keras.layers.RNN)]


def is_ours(layer):
    return isinstance(layer, keras_rnnx.layers.RNN)


def assert_converted(model, *inputs, **kwargs):
    """Converts a built model, checks the result and returns it."""
    randomize(model)
    before = model.get_weights()
    types = [type(layer) for layer in recurrent(model)]
    expected = run(model, *inputs, **kwargs)
    new, report = keras_rnnx.convert(model, report=True)
    assert recurrent(new) and all(map(is_ours, recurrent(new)))
    assert [row.converted for row in report] == [True] * len(types)
    assert type(new) is type(model) or not isinstance(model, keras.Model)
    assert new.name == model.name
    for a, b in zip(before, new.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert_equal(run(new, *inputs, **kwargs), expected)
    # The given model stays as it is, whatever becomes of the new one.
    randomize(new, seed=2)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [type(layer) for layer in recurrent(model)] == types
    new.set_weights(before)
    return new


def inputs():
    return keras.Input((STEPS, FEATURES))


def sequential():
    return keras.Sequential(
        [
            inputs(),
            layers.LSTM(4, return_sequences=True, name="first"),
            layers.Dense(3),
            layers.GRU(4, name="second"),
        ],
        name="stacked",
    )


def nested():
    inner = keras.Sequential(
        [inputs(), layers.LSTM(FEATURES, return_sequences=True)], name="inner"
    )
    x = inputs()
    middle = keras.Model(x, layers.GRU(4, return_sequences=True)(inner(x)))
    x = inputs()
    return keras.Model(x, layers.SimpleRNN(3)(middle(x)), name="outer")
