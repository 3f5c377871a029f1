"""Layers: dropout and its masks, seeds, and lists of cells that draw."""

import keras
import numpy as np
import pytest
from pairs import FEATURES, ROWS, STEPS, UNITS
from tensors import numpy, randomize

import keras_rnnx
from keras_rnnx import cells, layers


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, STEPS, FEATURES)).astype("float32")


def test_a_stack_with_dropout_trains(x):
    cells_ = [cells.GRUCell(UNITS, dropout=0.2, recurrent_dropout=0.2) for _ in "ab"]
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layers.RNN(cells_)])
    model.compile("sgd", "mse")
    model.fit(x, np.ones((ROWS, UNITS), "float32"), verbose=0)
    assert not np.allclose(numpy(model(x, training=True)), numpy(model(x)))


def test_dropout_masks_last_a_sequence_and_are_scaled():
    cell = cells.SimpleRNNCell(
        2000,
        activation="linear",
        kernel_initializer="ones",
        recurrent_initializer="zeros",
        dropout=0.25,
        seed=3,
    )
    layer = layers.RNN(cell, return_sequences=True)
    ones = np.ones((1, 3, 2000), "float32")
    first = numpy(layer(ones, training=True))
    # The same inputs are dropped at each step, and the mean is kept.
    np.testing.assert_allclose(first[:, 0], first[:, 2])
    assert abs(first.mean() / 2000 - 1) < 0.05
    assert not np.allclose(first, numpy(layer(ones, training=True)))
    np.testing.assert_allclose(numpy(layer(ones)), 2000, rtol=1e-5)


def test_recurrent_dropout_acts_on_what_the_recurrent_kernel_multiplies():
    cell = cells.SimpleRNNCell(
        1000,
        activation="linear",
        recurrent_initializer=keras.initializers.Identity(),
        recurrent_dropout=0.5,
        use_bias=False,
        seed=3,
    )
    layer = layers.RNN(cell, return_sequences=True)
    layer.build((1, 4, 1))
    layer.cell.kernel.assign(np.ones((1, 1000)))
    impulse = np.array([[[1.0], [0.0], [0.0], [0.0]]], "float32")
    h = numpy(layer(impulse, training=True))[0]
    assert set(np.unique(h[1])) == {0.0, 2.0}
    np.testing.assert_allclose(h[2], h[1] * 2)
    np.testing.assert_allclose(h[3], h[1] * 4)


def test_seeds_reproduce(x):
    made = [layers.GRU(UNITS, dropout=0.5, recurrent_dropout=0.5, seed=5) for _ in "ab"]
    for layer in made:
        layer.build(x.shape)
        randomize(layer)
    a, b = (numpy(layer(x, training=True)) for layer in made)
    np.testing.assert_array_equal(a, b)


def test_directions_draw_their_own_masks():
    layer = keras.layers.Bidirectional(
        layers.SimpleRNN(
            4,
            activation="linear",
            kernel_initializer="ones",
            recurrent_initializer="zeros",
            dropout=0.5,
        ),
        merge_mode=None,
    )
    there, back = layer(np.ones((1, 1, 4000), "float32"), training=True)
    assert numpy(there)[0, 0] != numpy(back)[0, 0]


def test_lists_of_cells_know_the_length_and_the_seed():
    chrono = keras_rnnx.initializers.Chrono()
    layer = layers.RNN([cells.LSTMCell(4), cells.LSTMCell(4, bias_initializer=chrono)])
    layer.build((None, 50, 3))
    assert layer.cell.cells[1].sequence_length == 50
    x = np.zeros((2, 5, 3), "float32")

    def outputs(**options):
        made = [cells.GRUCell(4, seed=1, kernel_initializer="ones") for _ in range(2)]
        layer = layers.RNN(made, initial_state_noise=0.5, **options)
        layer.build(x.shape)
        for cell in made:
            cell.recurrent_kernel.assign(np.ones((4, 12)))
        return numpy(layer(x, training=True))

    np.testing.assert_array_equal(outputs(), outputs())
    assert not np.allclose(outputs(), outputs(go_backwards=True))


@pytest.mark.parametrize("one", [False, True])
def test_the_directions_of_a_wrapper_draw_apart(one):
    def cell():
        return cells.SimpleRNNCell(
            4,
            activation="linear",
            kernel_initializer="ones",
            recurrent_initializer="zeros",
            dropout=0.5,
            seed=1,
        )

    rnn = layers.RNN(cell() if one else [cell(), cell()], return_sequences=True)
    both = keras.layers.Bidirectional(rnn)
    x = np.ones((8, 3, 16), "float32")
    outputs = numpy(both(x, training=True))
    assert not np.array_equal(outputs[..., :4], outputs[..., 4:])
