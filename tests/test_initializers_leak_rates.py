"""Leak rates that are drawn: their distribution, the equation, files and training."""

import catalogue
import keras
import numpy as np
import oracles
import pytest
from initialized import FEATURES, UNITS
from tensors import numpy, randomize

from keras_rnnx import cells, engine, initializers, layers, testing


def leaky(units=7, **kwargs):
    layer = layers.LeakyRNN(units, return_sequences=True, return_state=True, **kwargs)
    layer.build((None, None, FEATURES))
    return layer


def test_leak_rates_are_spread_evenly_over_orders_of_magnitude():
    rates = initializers.LeakRates(2, 200, seed=1)
    layer = leaky(1000, recurrent_initializer="zeros", leak=rates)
    steps = 1 / numpy(layer.cell.leak_rates)
    assert steps.min() >= 2 * (1 - 1e-6) and steps.max() <= 200 * (1 + 1e-6)
    counts, _ = np.histogram(np.log10(steps / 2), bins=10, range=(0, 2))
    assert np.all(np.abs(counts - 100) < 4 * np.sqrt(100 * 0.9))


@pytest.mark.parametrize("activation", ["tanh", "leaky_relu"])
def test_drawn_leak_rates_are_those_of_the_equation(activation):
    layer = leaky(activation=activation, leak=initializers.LeakRates(1, 40, seed=1))
    rng = np.random.default_rng(1)
    randomize(layer, rng)
    weights = {v.name: numpy(v).astype("float64") for v in layer.weights}
    assert "leak_rates" not in {v.name for v in layer.trainable_variables}
    function = {"tanh": np.tanh, "leaky_relu": oracles.leaky_relu}[activation]
    oracle = oracles.leaky(weights["leak_rates"], function)
    x = rng.normal(size=(3, 6, FEATURES)).astype("float32")
    state = rng.normal(size=(3, 7)).astype("float32")
    expected, _ = oracle(x, weights, [state])
    for name in catalogue.engines("leaky_rnn", layer):
        with engine.force(name):
            outputs, last = layer(x, initial_state=[state])
        np.testing.assert_allclose(numpy(outputs), expected, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(numpy(last), expected[:, -1], atol=1e-5)


@pytest.mark.any_backend
@pytest.mark.slow
def test_a_cell_with_drawn_leak_rates_conforms():
    cell = cells.LeakyRNNCell(7, leak=initializers.LeakRates(2, 50, seed=1))
    report = testing.check_cell(cell)
    assert list(report.engines) == catalogue.engines("leaky_rnn", layers.RNN(cell))


def test_learned_leak_rates_start_as_drawn():
    rates = initializers.LeakRates(3, 90, seed=4)
    fixed, learned = leaky(leak=rates), leaky(leak=rates, leak_trainable=True)
    start = 1 / (1 + np.exp(-numpy(learned.cell.leak_logit)))
    np.testing.assert_allclose(start, numpy(fixed.cell.leak_rates), rtol=1e-5)
    assert learned.cell.leak_logit.trainable


@pytest.mark.parametrize("trainable", [False, True])
def test_drawn_leak_rates_are_saved(trainable, tmp_path):
    def make():
        rates = initializers.LeakRates(2, 100)
        return keras.Sequential(
            [
                keras.Input((5, FEATURES)),
                layers.LeakyRNN(UNITS, leak=rates, leak_trainable=trainable),
            ]
        )

    model, x = make(), np.ones((2, 5, FEATURES), "float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.layers[0].leak, initializers.LeakRates)
    model.save_weights(tmp_path / "model.weights.h5")
    other = make()
    assert not np.allclose(numpy(other(x)), numpy(model(x)))
    other.load_weights(tmp_path / "model.weights.h5")
    for found in (loaded, other):
        np.testing.assert_allclose(numpy(found(x)), numpy(model(x)), rtol=1e-6)


def test_drawn_leak_rates_stay_in_training_and_differ_between_directions():
    rates = initializers.LeakRates(2, 100)
    both = keras.layers.Bidirectional(layers.LeakyRNN(UNITS, leak=rates))
    model = keras.Sequential([keras.Input((5, FEATURES)), both])
    model.compile("sgd", "mse")
    drawn = [r.cell.leak_rates for r in (both.forward_layer, both.backward_layer)]
    before = [numpy(r).copy() for r in drawn]
    model.fit(np.ones((4, 5, FEATURES)), np.ones((4, 2 * UNITS)), verbose=0)
    for now, then in zip(drawn, before):
        np.testing.assert_array_equal(numpy(now), then)
    assert not np.allclose(*before)
