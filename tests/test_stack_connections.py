"""`layers.Stack`: what stands between layers, connections and dropout."""

import keras
import methods
import numpy as np
import pytest
from oracles import sigmoid
from stacks import FEATURES, MASKS, ROWS, STEPS, UNITS, built, random
from tensors import close, numpy

from keras_rnnx import layers


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, STEPS, FEATURES)).astype("float32")


def normalized(x, gamma, beta):
    """Layer normalization, with Keras' epsilon."""
    centered = x - x.mean(-1, keepdims=True)
    scale = np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-3)
    return centered / scale * gamma + beta


def gated_linear_unit(h, kernel, bias):
    """Half of the outputs of a dense layer, times the sigmoid of the other half."""
    gelu = h / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
    value, gate = np.split(gelu @ kernel + bias, 2, axis=-1)
    return value * sigmoid(gate)


@pytest.mark.cases(6)
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("features", [FEATURES, UNITS])
@pytest.mark.parametrize("connection", ["residual", "highway", "glu"])
def test_connections(connection, features, zero):
    """The first layer has one where the widths fit, and masked steps show nothing of
    their inputs."""
    x = random(ROWS, STEPS, features)
    stack = built(
        "lstm",
        UNITS,
        features=features,
        connection=connection,
        return_sequences=True,
        zero_output_for_mask=zero,
    )
    mask = MASKS["holes"]
    expected = x
    for level in stack.levels:
        (layer,) = level.rnns
        plain = keras.layers.LSTM(UNITS, return_sequences=True)
        plain.build(expected.shape)
        plain.set_weights(layer.get_weights())
        fits = expected.shape[-1] == UNITS
        read = expected
        if connection == "glu" and fits:
            read = normalized(expected, *(numpy(v) for v in level.norm.weights))
        h = numpy(plain(read.astype("float32"), mask=mask))
        if connection == "glu":
            h = gated_linear_unit(h, *(numpy(v) for v in level.glu.weights))
        if not fits:
            expected = h
        elif connection in ("residual", "glu"):
            expected = expected + h
        else:
            w, b = (numpy(v) for v in level.gate.weights)
            t = sigmoid(expected @ w + b)
            expected = t * h + (1 - t) * expected
    shown = np.zeros_like(expected)
    for row in range(ROWS):
        last = np.zeros(UNITS)
        for step in range(STEPS):
            if mask[row, step]:
                last = expected[row, step]
            elif zero:
                last = np.zeros(UNITS)
            shown[row, step] = last
    close(stack(x, mask=mask), shown)
    last = built(
        "lstm",
        UNITS,
        features=features,
        connection=connection,
        zero_output_for_mask=zero,
    )
    last.set_weights(stack.get_weights())
    close(last(x, mask=mask), shown[:, -1])
    close(last(x), numpy(stack(x))[:, -1])


def test_a_highway_starts_by_letting_inputs_pass(x):
    wide = random(ROWS, STEPS, UNITS)
    stack = layers.Stack("gru", UNITS, connection="highway", highway_bias=-20.0)
    close(stack(wide), wide[:, -1])
    gate = layers.Stack("gru", UNITS, connection="highway")
    gate.build(wide.shape)
    assert all(np.all(numpy(v.gate.bias) == -1) for v in gate.levels)


def test_linear_layers_need_a_unit_between():
    """A stack of LRUs alone is linear in its inputs, however deep."""

    def bend(connection):
        stack = layers.Stack("lru", UNITS, depth=3, connection=connection, seed=1)
        a, b = (random(ROWS, STEPS, FEATURES, seed=seed) for seed in (1, 2))
        start = numpy(stack(0 * a))
        both, one, other = (numpy(stack(v)) - start for v in (a + b, a, b))
        return np.abs(both - one - other).max() / np.abs(both).max()

    for connection in (None, "residual"):
        with pytest.warns(UserWarning, match="3 layers of LRUCell .* is linear.*'glu'"):
            assert bend(connection) < 1e-4
    # Where something bends, nothing is said: a warning would be an error here.
    assert bend("glu") > 1e-2 and bend("highway") > 1e-2
    layers.Stack("lru", UNITS, depth=1)
    layers.Stack("lru", UNITS, depth=2, layer_norm=True)


def transparent(width=1000, **kwargs):
    """Two layers that give out what comes in, whatever their states are."""
    return layers.Stack(
        "simple_rnn",
        width,
        activation="linear",
        kernel_initializer="identity",
        recurrent_initializer="zeros",
        return_sequences=True,
        **kwargs,
    )


@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("where", ["dropout", "input_dropout", "output_dropout"])
@pytest.mark.parametrize("mask", ["step", "sequence"])
def test_dropout_between_layers(mask, where, feedback):
    stack = transparent(
        seed=3, dropout_mask=mask, gated_feedback=feedback, **{where: 0.25}
    )
    ones = np.ones((2, 3, 1000), "float32")
    y = numpy(stack(ones, training=True))
    np.testing.assert_allclose(np.unique(y), [0, 4 / 3], rtol=1e-6)
    assert abs(y.mean() - 1) < 0.05
    assert np.any(y[0] != y[1])
    kept = y > 0
    same = [np.mean(kept[:, 0] == kept[:, t]) for t in (1, 2)]
    if mask == "sequence":
        assert same == [1, 1]
    else:
        # Independent draws agree with probability 0.75² + 0.25².
        np.testing.assert_allclose(same, 0.625, atol=0.05)
    assert np.any(y != numpy(stack(ones, training=True)))
    np.testing.assert_array_equal(numpy(stack(ones)), ones)


def test_dropout_is_nowhere_else():
    """Not before the first layer, nor after the last, nor on what a state keeps."""
    ones = np.ones((2, 3, 50), "float32")
    single = transparent(50, depth=1, dropout=0.5)
    np.testing.assert_array_equal(numpy(single(ones, training=True)), ones)
    keeps = layers.Stack(
        "simple_rnn",
        50,
        dropout=0.5,
        activation="linear",
        kernel_initializer="zeros",
        recurrent_initializer="identity",
        return_sequences=True,
    )
    states = [np.ones((2, 50), "float32")] * 2
    y = keeps(ones, initial_state=states, training=True)
    np.testing.assert_array_equal(numpy(y), ones)


def test_dropout_of_layers_and_seeds():
    ones = np.ones((1, 2, 1000), "float32")
    made = [transparent(depth=3, dropout=0.5, seed=s) for s in (5, 5, 6)]
    a, b, c = (numpy(stack(ones, training=True)) for stack in made)
    np.testing.assert_array_equal(a, b)
    assert np.any(a != c)
    # Two masks that are drawn apart leave a quarter.
    np.testing.assert_allclose(np.mean(a > 0), 0.25, atol=0.05)
    assert set(np.unique(a)) == {0, 4}


def test_dropout_of_the_last_output():
    stack = layers.Stack(
        "simple_rnn",
        1000,
        output_dropout=0.5,
        dropout_mask="sequence",
        activation="linear",
        kernel_initializer="identity",
        recurrent_initializer="zeros",
    )
    y = numpy(stack(np.ones((2, 3, 1000), "float32"), training=True))
    assert y.shape == (2, 1000) and set(np.unique(y)) == {0, 2}


def test_a_connection_is_not_dropped():
    stack = transparent(50, connection="residual", dropout=0.5, input_dropout=0.5)
    y = numpy(stack(np.ones((2, 3, 50), "float32"), training=True))
    # 1 + (0 or 2), then that plus 0 or its double.
    assert set(np.unique(y)) == {1, 3, 9}


def test_recurrent_dropout_of_the_cells_differs_by_layer():
    stack = layers.Stack("gru", 8, recurrent_dropout=0.5, seed=1)
    drawn = []
    stack.build((None, 3, 8))
    for layer in stack.layers:
        assert layer.cell.recurrent_dropout == 0.5
        drawn.append(numpy(layer.cell.random_masks.draw(20, 3).whole.recurrent))
    assert np.any(drawn[0] != drawn[1])


def test_layers_draw_from_streams_that_have_nothing_in_common():
    stack = layers.Stack("lstm", 50, depth=2, zoneout=0.5, seed=3)
    stack.build((None, 3, 50))
    drawn = [layer.cell.random_masks.draw(20, 3) for layer in stack.layers]
    masks = [numpy(mask) for layer in drawn for mask in methods.by_name(layer).values()]
    for i, a in enumerate(masks):
        for b in masks[:i]:
            assert abs((a == b).mean() - 0.5) < 0.05


@pytest.mark.parametrize("mask", ["step", "sequence"])
@pytest.mark.parametrize("rate", ["dropout", "input_dropout", "output_dropout"])
@pytest.mark.parametrize("feedback", [False, True])
def test_monte_carlo_is_for_the_dropout_of_the_stack_too(rate, mask, feedback, x):
    def outputs(*training, **options):
        stack = built(
            "lstm",
            UNITS,
            dropout_mask=mask,
            gated_feedback=feedback,
            seed=1,
            return_sequences=True,
            **{rate: 0.5},
            **options,
        )
        return [numpy(stack(x, training=flag)) for flag in training]

    first, second = outputs(False, False, monte_carlo=True)
    assert not np.allclose(first, second)
    close(first, outputs(True)[0])
    for expected in outputs(False, False):
        assert not np.allclose(first, expected)
