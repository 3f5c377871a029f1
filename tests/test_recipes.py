"""Published combinations by name."""

import keras
import numpy as np
import pytest
from tensors import numpy

from keras_rnnx import explain, layers
from keras_rnnx.layers.recipes import RECIPES

STEPS, FEATURES, UNITS = 50, 3, 400


def built(layer, steps=STEPS):
    layer.build((None, steps, FEATURES))
    return layer.cell


def test_irnn():
    cell = built(layers.SimpleRNN(UNITS, recipe="irnn"))
    assert cell.activation is keras.activations.relu
    np.testing.assert_array_equal(numpy(cell.recurrent_kernel), np.eye(UNITS))
    assert abs(numpy(cell.kernel).std() - 0.001) < 1e-4
    assert not np.any(numpy(cell.bias))


def test_np_rnn():
    cell = built(layers.SimpleRNN(UNITS, recipe="np-rnn"))
    assert cell.activation is keras.activations.relu
    u = numpy(cell.recurrent_kernel)
    np.testing.assert_allclose(u, u.T, atol=1e-6)
    values = np.linalg.eigvalsh(u)
    assert values[0] > 0 and abs(values[-1] - 1) < 1e-4


def test_chrono_takes_the_length_of_the_sequences():
    cell = built(layers.LSTM(UNITS, recipe="chrono"))
    i, f, c, o = np.split(numpy(cell.bias), 4)
    np.testing.assert_array_equal(i, -f)
    assert not np.any(c) and not np.any(o)
    # Uniform lengths: their mean is the middle.
    steps = np.exp(f)
    assert steps.min() >= 1 and steps.max() <= STEPS - 1
    assert abs(steps.mean() - STEPS / 2) < 3
    z = np.split(numpy(built(layers.GRU(UNITS, recipe="chrono")).bias)[0], 3)[0]
    assert abs(np.exp(z).mean() - STEPS / 2) < 3


def test_leaky_covers_all_time_scales():
    cell = built(layers.LeakyRNN(UNITS, recipe="leaky"))
    steps = 1 / numpy(cell.coefficients()["leak"])
    assert steps.min() >= 1.99 and steps.max() <= STEPS * 1.01
    # Log-uniform: half of them below the geometric mean.
    assert abs((steps < np.sqrt(2 * STEPS)).mean() - 0.5) < 0.08
    assert "leak_logit" in {v.name for v in cell.trainable_variables}


def test_indrnn_starts_near_one_and_stays_bounded():
    layer = layers.IndRNN(UNITS, recipe="indrnn")
    cell = built(layer)
    assert cell.activation is keras.activations.relu
    assert abs(numpy(cell.kernel).std() - 0.001) < 1e-4
    low, high = 2 ** (-1 / STEPS), 2 ** (1 / STEPS)
    u = numpy(cell.recurrent_kernel)
    assert u.min() >= low - 1e-6 and u.max() <= high + 1e-6
    assert abs(u.mean() - (low + high) / 2) < 0.1 * (high - low)
    assert u.std() > 0.25 * (high - low)
    far = keras.ops.convert_to_tensor(np.linspace(-2, 2, UNITS), "float32")
    kept = numpy(cell.recurrent_kernel.constraint(far))
    np.testing.assert_allclose(kept, np.clip(numpy(far), -high, high), rtol=1e-6)
    other = layers.RNN(type(cell).from_config(cell.get_config()))
    other.build((None, 2 * STEPS, FEATURES))
    top = numpy(other.cell.recurrent_kernel).max()
    assert top <= 2 ** (0.5 / STEPS) + 1e-6


def test_ring_fades_over_a_fifth_of_a_sequence_to_20_of_them():
    cell = built(layers.LRU(UNITS, recipe="ring"))
    parts = cell.coefficients()
    steps = 1 / (1 - np.hypot(numpy(parts["real"]), numpy(parts["imaginary"])))
    assert steps.min() >= 0.99 * STEPS / 5 and steps.max() <= 20.2 * STEPS
    # The square of the radius is uniform: half of them are below its middle.
    low, high = 1 - 5 / STEPS, 1 - 0.05 / STEPS
    middle = 1 / (1 - np.sqrt((low**2 + high**2) / 2))
    assert abs((steps < middle).mean() - 0.5) < 0.08


def test_a_bound_of_the_ring_may_stand_alone():
    cell = built(layers.LRU(3, radius_min=0.5, radius_max=None))
    assert cell.ring() == (0.5, 1 - 0.05 / STEPS)
    copy = type(cell).from_config(cell.get_config())
    assert (copy.radius_min, copy.radius_max) == (0.5, None)
    # A sequence of one step has no ring below 0, and in float32 none at 1.
    assert built(layers.LRU(3, recipe="ring"), 1).ring() == (0, 0.95)
    long = built(layers.LRU(UNITS, recipe="ring"), 10**7)
    assert np.all(np.isfinite(numpy(long.nu)))


@pytest.mark.parametrize(
    "make, name",
    [
        (layers.SimpleRNN, "irnn"),
        (layers.SimpleRNN, "np-rnn"),
        (layers.GRU, "chrono"),
        (layers.LeakyRNN, "leaky"),
        (layers.IndRNN, "indrnn"),
        (layers.LRU, "ring"),
    ],
)
def test_a_model_with_a_recipe_is_explained_saved_and_trained(make, name, tmp_path):
    layer = make(6, recipe=name)
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(4, STEPS, FEATURES)).astype("float32")
    model.fit(x, np.ones((4, 6)), verbose=0)
    reason = explain(model)[0].reason
    for argument in RECIPES[name].arguments:
        assert f"{argument}=" in reason
    assert RECIPES[name].paper in reason
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].recipe == name
    np.testing.assert_allclose(numpy(loaded(x)), numpy(model(x)), atol=1e-6)
    assert isinstance(keras.layers.Bidirectional(make(6, recipe=name)), keras.Layer)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: layers.LSTM(3, recipe="irnn"), "is for SimpleRNN; received LSTMCell"),
        (
            lambda: layers.IRNN(3, recipe="irnn"),
            r"received IRNNCell \(it has none\)",
        ),
        (
            lambda: layers.IndRNN(3, recipe="leaky"),
            r"received IndRNNCell \(it has indrnn\)",
        ),
        (
            lambda: layers.IndRNN(3, recipe="indrnn").build((None, None, 2)),
            r"without a known length.*UnitRange\(steps\)",
        ),
        (lambda: layers.SimpleRNN(3, recipe="chrono"), "a gate that keeps the state"),
        (lambda: layers.SimpleRNN(3, recipe="irrn"), "Did you mean 'irnn'"),
        (
            lambda: layers.SimpleRNN(3, "tanh", recipe="irnn"),
            "sets 'activation', received activation='tanh' too",
        ),
        (
            lambda: layers.LSTM(3, recipe="chrono").build((None, None, 2)),
            "without a known length",
        ),
        (
            lambda: layers.LSTM(3, recipe="chrono").build((None, 2, 2)),
            "max_steps",
        ),
        (
            lambda: layers.LRU(3, recipe="ring").build((None, None, 2)),
            "without a known length.*radius_min and radius_max",
        ),
        (
            lambda: layers.LRU(3, radius_min=None).build((None, 10**6, 2)),
            "received radius_min=0.9999, radius_max=0.999,",
        ),
    ],
)
def test_what_does_not_fit_is_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()
