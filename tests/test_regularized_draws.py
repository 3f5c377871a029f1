"""Masks: means, rates and seeds, the states they keep, and when they are drawn."""

import keras
import numpy as np
import pytest
from methods import BATCH, FEATURES, METHODS, STEPS, UNITS, made
from tensors import numpy

from keras_rnnx import cells, layers


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")


@pytest.mark.parametrize(
    "arguments",
    [
        {"dropout": 0.5},
        {"recurrent_dropout": 0.5},
        {"update_dropout": 0.5},
        {"update_dropout": 0.5, "dropout_mask": "step"},
        {"weight_dropout": 0.5},
        {"zoneout": 0.5},
    ],
    ids=str,
)
def test_masks_keep_the_mean(arguments, x):
    """Of a linear step from a non-zero state, whose mean is what inference gives."""
    cell = cells.LeakyRNNCell(UNITS, activation="linear", **arguments)
    layer = layers.RNN(cell)
    many = np.repeat(x[:1, :1], 4000, axis=0)
    layer.build(many.shape)
    state = np.random.default_rng(5).normal(size=(1, UNITS)).astype("float32")
    states = [np.repeat(state, 4000, axis=0)]
    expected = numpy(layer(many, initial_state=states))[0]
    calls = 200 if "weight_dropout" in arguments else 1
    found = [
        numpy(layer(many, initial_state=states, training=True)) for _ in range(calls)
    ]
    samples = np.stack(found)[:, :1] if calls > 1 else np.stack(found)
    spread = samples.std(axis=(0, 1)) / np.sqrt(samples[..., 0].size)
    assert np.all(spread > 0)
    np.testing.assert_array_less(
        abs(samples.mean(axis=(0, 1)) - expected), 5 * spread + 1e-6
    )


def test_a_rate_for_each_state(x, monkeypatch):
    layer = made("lstm", monkeypatch, zoneout=[0.0, 0.9])
    layer(x, training=True)
    assert set(layer.drawn) == {"zoneout c"}
    big = made("lstm", monkeypatch, zoneout=[0.2, 0.7])
    big(np.repeat(x, 300, axis=0), training=True)
    for state, rate in (("h", 0.2), ("c", 0.7)):
        kept = numpy(big.drawn[f"zoneout {state}"])
        assert kept.shape == (300 * BATCH, STEPS, UNITS)
        assert abs(kept.mean() - rate) < 0.02


def test_a_clock_goes_on_where_units_are_kept(x, monkeypatch):
    arguments = {"periods": (1, 2), "zoneout": 0.2}
    layer = made("clockwork_rnn", monkeypatch, **arguments)
    assert layer.cell.zoneout_rates == (0.2, 0.0)
    outputs, _, clock = (numpy(v) for v in layer(x))
    # The slow half holds its value over every odd step.
    slow = outputs[:, :, UNITS // 2 :]
    np.testing.assert_allclose(slow[:, 1::2], slow[:, :-1:2], atol=1e-6)
    assert np.all(np.abs(slow[:, 2::2] - slow[:, 1:-1:2]) > 1e-4)
    expected = np.tile(np.repeat([0, STEPS % 2], UNITS // 2), (BATCH, 1))
    np.testing.assert_array_equal(clock, expected)
    _, _, clock = (numpy(v) for v in layer(x, training=True))
    assert set(layer.drawn) == {"zoneout h"}
    np.testing.assert_array_equal(clock, expected)


def test_states_relative_to_another_are_not_kept_alone(x, monkeypatch):
    layer = made("slstm", monkeypatch, zoneout=0.5)
    outputs, *states = layer(x, training=True)
    assert set(layer.drawn) == {"zoneout h"}
    # `h` is what it shows, a weighted mean of candidates within (-1, 1).
    assert np.all(np.abs(numpy(outputs)) < 1)
    with pytest.raises(ValueError, match="the state 'n' means nothing once it is kept"):
        cells.get("slstm", UNITS, zoneout=[0.1, 0.0, 0.1, 0.0])
    with pytest.raises(ValueError, match="the state 't' means nothing"):
        cells.get("clockwork_rnn", UNITS, zoneout=[0.1, 0.1])
    assert cells.get("clockwork_rnn", UNITS, zoneout=[0.1, 0.0]).zoneout_rates[0] == 0.1


@pytest.mark.parametrize("method", ["step", "weights", "update", "zoneout"])
def test_seeds_reproduce_and_calls_differ(method, x):
    a, b, c = (made("lstm", seed=seed, **METHODS[method]) for seed in (5, 5, 6))
    first, second = (numpy(a(x, training=True)[0]) for _ in range(2))
    assert not np.allclose(first, second)
    np.testing.assert_allclose(numpy(b(x, training=True)[0]), first, atol=1e-6)
    assert not np.allclose(numpy(c(x, training=True)[0]), first)


def test_directions_with_one_seed_draw_different_masks():
    layer = keras.layers.Bidirectional(
        layers.SimpleRNN(
            4,
            activation="linear",
            kernel_initializer="ones",
            recurrent_initializer="zeros",
            dropout=0.5,
            seed=7,
        ),
        merge_mode=None,
    )
    ones = np.ones((1, 1, 4000), "float32")
    there, back = layer(ones, training=True)
    assert numpy(there)[0, 0] != numpy(back)[0, 0]
    config = layer.get_config()
    again = keras.layers.Bidirectional.from_config(config)
    np.testing.assert_array_equal(numpy(again(ones, training=True)[1]), numpy(back))


def test_monte_carlo_draws_at_inference_too(x):
    arguments = METHODS["all"] | {"monte_carlo": True, "seed": 2}
    layer, trained = made("gru", **arguments), made("gru", **arguments)
    first, second = numpy(layer(x)[0]), numpy(layer(x)[0])
    assert not np.allclose(first, second)
    found = numpy(trained(x, training=True)[0])
    np.testing.assert_allclose(found, first, atol=1e-5)
    model = keras.Sequential([layers.GRU(UNITS, zoneout=0.5, monte_carlo=True)])
    a, b = (model.predict(x, verbose=0) for _ in range(2))
    assert not np.allclose(a, b)


def test_a_hand_written_loop_draws_the_masks_of_a_step_anew(x):
    cell = cells.LSTMCell(UNITS, zoneout=0.5)
    cell.build((None, FEATURES))
    states = [np.ones((BATCH, UNITS), "float32")] * 2
    with cell.masks(BATCH):
        a, b = (cell(x[:, 0], states, training=True)[0] for _ in range(2))
    assert not np.allclose(numpy(a), numpy(b))
    with pytest.raises(ValueError, match="zoneout=0.5 was called for a training step"):
        cell(x[:, 0], states, training=True)
