"""Layers: arguments, models and calls that are refused, and what is said."""

import contextlib
import re

import keras
import numpy as np
import pytest
from pairs import FEATURES, ROWS, STEPS

import keras_rnnx
from keras_rnnx import engine, layers


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, STEPS, FEATURES)).astype("float32")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: layers.LSTM(-1), "`units`, expected a positive integer, got -1"),
        (lambda x: layers.LSTM(3, drop_out=0.1), "no argument 'drop_out'.*'dropout'"),
        (lambda x: layers.LSTM(3, dropout=1.5), "got 1.5"),
        (lambda x: layers.GRU(3, use_cudnn="yes"), "use_cudnn='yes'"),
        (lambda x: layers.GRU(3, use_cudnn=True)(x), "use_cudnn=True is not possible"),
        (lambda x: layers.LSTM(3)(x[0]), r"\(batch, time, features\).*\(6, 3\)"),
        (
            lambda x: layers.LSTM(3)(x, initial_state=[np.zeros((4, 3))]),
            r"list of 2 state\(s\) for LSTMCell, received 1",
        ),
        (
            lambda x: layers.GRU(3)(x, initial_state=[np.zeros((4, 2))]),
            r"= \(4, 3\), received shape \(4, 2\)",
        ),
        (
            lambda x: layers.GRU(3)(x, mask=np.ones((4, 5), bool)),
            r"mask must have shape.*\(4, 6\), received shape \(4, 5\)",
        ),
        (
            lambda x: layers.RNN("lstm", 8),
            r"name 'lstm'.*cells\.get\('lstm', units\).*Stack\('lstm', units\)",
        ),
        (lambda x: layers.RNN(["lstm", "gru"]), "name 'lstm'"),
        (
            lambda x: layers.RNN(keras_rnnx.cells.LSTMCell),
            r"class LSTMCell.*as LSTMCell\(units\).*Stack\(LSTMCell, units\)",
        ),
        (
            lambda x: layers.RNN(keras.layers.LSTMCell),
            r"class LSTMCell.*as LSTMCell\(units\)\.",
        ),
        (lambda x: engine.force("fsued").__enter__(), "Did you mean 'fused'"),
    ],
)
def test_bad_input(call, message, x):
    with pytest.raises(ValueError, match=message):
        call(x)


def stack(units):
    return layers.Stack("lstm", units)


@pytest.mark.parametrize("shape", [(3,), (4, 5, 3), (5, None)])
@pytest.mark.parametrize("make", [layers.LSTM, layers.MinGRU, stack])
def test_a_model_for_other_than_sequences_is_refused(make, shape):
    said = re.escape(f"received shape {(None, *shape)}")
    with pytest.raises(ValueError, match=said):
        keras.Sequential([keras.Input(shape), make(4)])


@pytest.mark.parametrize("make", [layers.LSTM, layers.GRU, layers.MinGRU, stack])
def test_a_call_with_other_features_is_refused(make):
    """Before a kernel that may not look is called with them."""
    layer = make(4)
    layer(np.ones((2, 5, 3), "float32"))
    for features in (2, 4):
        with pytest.raises(ValueError, match="expected axis -1 .* to have value 3"):
            layer(np.ones((2, 5, features), "float32"))


@pytest.mark.parametrize("seed", [-1, True, "1", 1.0, 2**32])
@pytest.mark.parametrize("name", ["LSTM", "Embedding"])
def test_a_seed_that_is_none_is_named(name, seed):
    args = (4, 4) if name == "Embedding" else (4,)
    with pytest.raises(ValueError, match="`seed` must be"):
        getattr(layers, name)(*args, seed=seed)


def test_tied_scores_are_of_vectors_of_the_right_width():
    embedding = layers.Embedding(10, 4)
    embedding(np.zeros((2, 3), "int32"))
    message = r"output_dim=4, received shape \(2, 3, 5\)"
    for inputs in (np.zeros((2, 3, 5), "float32"), keras.KerasTensor((2, 3, 5))):
        with pytest.raises(ValueError, match=message):
            embedding(inputs, reverse=True)


@pytest.mark.parametrize("name", ["step", "fused", "scan", "best", "both ways"])
def test_a_sequence_of_no_steps_is_refused(name):
    """In eager code, in `predict`, and where a model is made."""

    def made():
        if name == "both ways":
            return layers.Bidirectional(layers.Stack("gru", 4))
        kind = layers.MinGRU if name == "scan" else layers.LSTM
        return kind(4, return_sequences=name != "step")

    model = keras.Sequential([keras.Input((None, FEATURES)), made()])
    (layer,) = model.layers
    x, mask = np.ones((ROWS, 0, FEATURES), "float32"), np.ones((ROWS, 0), bool)
    calls = [
        lambda: layer(x),
        lambda: layer(x, mask=mask, training=True),
        lambda: model.predict_on_batch(x),
        lambda: made()(keras.Input((0, FEATURES))),
    ]
    for call in calls:
        known = name in engine.ENGINES
        forced = engine.force(name) if known else contextlib.nullcontext()
        said = r"one step or more, received shape \((None|4), 0, 3\)"
        with forced, pytest.raises(ValueError, match=said):
            call()
