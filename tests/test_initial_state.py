"""Initial states: learned, random in training, zero otherwise."""

import keras
import numpy as np
import pytest
from tensors import numpy, randomize

from keras_rnnx import cells, explain, layers

UNITS, BATCH, STEPS, FEATURES = 5, 3, 4, 2


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")


def built(layer, shape):
    layer.build(shape)
    randomize(layer, seed=1)
    return layer


def learned(layer):
    variables = layer.trainable_variables
    return [numpy(v) for v in variables if v.name.startswith("initial_state_")]


@pytest.mark.parametrize("name", ["LSTM", "GRU", "LeakyRNN"])
def test_a_learned_state_is_where_every_sequence_starts(name, x):
    make = getattr(layers, name)
    layer = built(make(UNITS, initial_state_trainable=True, seed=1), x.shape)
    plain = make(UNITS)
    plain.build(x.shape)
    plain.cell.set_weights(layer.cell.get_weights())
    states = learned(layer)
    assert len(states) == len(layer.cell.states)
    given = [np.repeat(state[None], BATCH, axis=0) for state in states]
    expected = numpy(plain(x, initial_state=given))
    np.testing.assert_allclose(numpy(layer(x)), expected, atol=1e-6)
    np.testing.assert_allclose(numpy(layer(x, training=True)), expected, atol=1e-6)
    # States that are given go before learned ones.
    zeros = [np.zeros_like(state) for state in given]
    np.testing.assert_allclose(
        numpy(layer(x, initial_state=zeros)), numpy(plain(x)), atol=1e-6
    )


def test_states_are_learned_and_saved(x, tmp_path):
    layer = layers.LSTM(UNITS, initial_state_trainable=True)
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
    model.compile("adam", "mse")
    assert not any(np.any(state) for state in learned(layer))
    model.fit(x, np.ones((BATCH, UNITS), "float32"), epochs=2, verbose=0)
    assert all(np.all(state != 0) for state in learned(layer))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(x)), numpy(model(x)), atol=1e-6)


def test_noise_is_of_the_given_size_in_training_alone():
    cell = cells.LeakyRNNCell(UNITS, activation="linear", leak=0.5, seed=4)
    layer = layers.RNN(
        cell,
        initial_state_noise=0.2,
        initial_state_trainable=True,
        initial_state_initializer=keras.initializers.Constant(3.0),
    )
    none = np.zeros((4000, 1, FEATURES), "float32")
    layer.build(none.shape)
    cell.recurrent_kernel.assign(np.zeros((UNITS, UNITS)))
    # Half of the state is left after the step.
    found = 2 * numpy(layer(none, training=True))
    assert np.all(abs(found.mean(axis=0) - 3) < 0.02)
    assert np.all(abs(found.std(axis=0) - 0.2) < 0.01)
    assert not np.allclose(found, 2 * numpy(layer(none, training=True)))
    np.testing.assert_allclose(numpy(layer(none)), 1.5)
    given = [np.zeros((4000, UNITS), "float32")]
    assert not np.any(numpy(layer(none, initial_state=given, training=True)))


def test_in_keras_wrappers_and_over_stacks(x):
    stack = layers.RNN(
        [cells.GRUCell(3), cells.LSTMCell(4)],
        initial_state_trainable=True,
        initial_state_noise=0.1,
    )
    built(stack, x.shape)
    assert [len(state) for state in learned(stack)] == [3, 4, 4]
    assert not np.allclose(numpy(stack(x)), numpy(stack(x, training=True)))
    both = keras.layers.Bidirectional(layers.GRU(3, initial_state_trainable=True))
    both(x)
    assert len(learned(both)) == 2


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize(
    "name, free",
    [
        ("qrnn", ["h", "c"]),
        ("tgru", ["h"]),
        ("tlstm", ["h", "c"]),
        ("clockwork_rnn", ["h"]),
        ("slstm", ["h", "c", "m"]),
    ],
)
def test_windows_counts_and_normalizers_start_at_zero(name, free, noise, x):
    arguments = {"window": 3} if name == "qrnn" else {}
    cell = cells.get(name, UNITS, seed=2, **arguments)
    layer = layers.RNN(cell, initial_state_trainable=True, initial_state_noise=noise)
    built(layer, x.shape)
    names = [v.name for v in layer.weights if "initial_state" in v.name]
    assert names == [f"initial_state_{k}" for k in free]
    states = dict(zip(cell.state_names, layer.first_states(BATCH, training=True)))
    assert len(states) == len(cell.state_names)
    for state, first in states.items():
        assert np.any(numpy(first)) == (state in free)
    for outputs in (layer(x), layer(x, training=True)):
        assert np.all(np.isfinite(numpy(outputs)))
    stacked = layers.RNN(
        [cells.GRUCell(2), cells.get(name, UNITS)], initial_state_trainable=True
    )
    built(stacked, x.shape)
    assert len(learned(stacked)) == 1 + len(free)
    assert np.all(np.isfinite(numpy(stacked(x))))


def test_the_engine_stays_what_it_was():
    plain, started = (
        layers.LSTM(4, name="a"),
        layers.LSTM(4, name="b", initial_state_trainable=True, initial_state_noise=0.1),
    )
    a, b = explain(keras.Sequential([plain, started]))
    assert a[2:] == b[2:]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"initial_state_noise": -1.0}, "at least 0; received -1.0"),
        ({"initial_state_noise": "much"}, "expected a finite number, got 'much'"),
        ({"initial_state_trainable": 1}, "expected True or False, got 1"),
        (
            {"initial_state_trainable": True, "stateful": True},
            "stateful=True starts a batch from the last states",
        ),
    ],
)
def test_bad_input_is_explained(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.LSTM(3, **arguments)
