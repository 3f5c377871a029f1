"""Layers with masks and normalization: training, files, kernels, what is refused."""

import catalogue
import keras
import numpy as np
import pytest
from methods import BATCH, FEATURES, METHODS, STEPS, UNITS
from tensors import numpy

from keras_rnnx import cells, engine, explain, layers
from keras_rnnx.testing.cases import Case
from keras_rnnx.testing.conformance import _compare, _run


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")


@pytest.mark.parametrize("name", ["lstm", "leaky_rnn"])
def test_regularized_layers_train_and_are_saved(name, x, tmp_path):
    config = METHODS["all"] | {"dropout_mask": "step"}
    layer = layers.RNN(cells.get(name, UNITS, **config))
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
    model.compile("adam", "mse")
    before = [numpy(v) for v in model.trainable_variables]
    model.fit(x, np.ones((BATCH, UNITS), "float32"), epochs=2, verbose=0)
    for a, v in zip(before, model.trainable_variables):
        assert np.any(a != numpy(v)), v.path
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].cell.get_config() == layer.cell.get_config()
    np.testing.assert_allclose(numpy(loaded(x)), numpy(model(x)), atol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"weight_dropout": 1.0}, "`weight_dropout`.*rate in .0, 1., got 1.0"),
        ({"update_dropout": -0.1}, "`update_dropout`.*got -0.1"),
        ({"zoneout": 1.5}, "`zoneout`.*got 1.5"),
        ({"zoneout": [0.1] * 3}, "list of 2, one for each of the states h, c"),
        ({"dropout_mask": "batch"}, "'sequence' or 'step', got 'batch'"),
        ({"monte_carlo": 1}, "`monte_carlo`, expected True or False, got 1"),
        ({"layer_norm": "yes"}, "`layer_norm`, expected True or False, got 'yes'"),
    ],
)
def test_bad_input_is_explained(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.LSTM(3, **arguments)


@pytest.mark.parametrize("mask", ["none", "holes"])
@pytest.mark.parametrize(
    "variant",
    [
        "simple_rnn",
        "simple_rnn_relu",
        "simple_rnn_leaky_relu",
        "leaky_rnn",
        "leaky_rnn_learned",
        "leaky_rnn_relu",
        "fast_rnn",
        "fast_rnn_relu",
    ],
)
def test_the_mean_of_zoneout_runs_on_kernels_where_it_is_exact(variant, mask):
    cell = catalogue.make(variant, zoneout=0.3)
    layer = layers.RNN(cell)
    best = "native" if keras.backend.backend() == "torch" else "cudnn"
    assert cell.lowering().zoneout
    assert cell.random_masks.refusal(training=False) is None
    assert "at random" in cell.random_masks.refusal(training=True)
    if keras.backend.backend() != "torch":  # No kernel here to run.
        return
    assert engine.refusal(layer, best, training=False) is None
    assert "at random" in engine.refusal(layer, best, training=True)
    case = Case("zoneout", mask, "float64", arguments={"zoneout": 0.3})
    expected = _run(cell, case, "step", 0)
    _compare(cell, case, best, expected, _run(cell, case, best, 0))


def test_what_a_cell_cannot_do_is_explained(x):
    with pytest.raises(ValueError, match="does not call `gate.drop`"):
        layers.SimpleRNN(3, update_dropout=0.1)(x)
    stack = layers.RNN([cells.LSTMCell(3, zoneout=0.1), cells.LSTMCell(3)])
    stack(x)
    with pytest.raises(ValueError, match="draws masks at every step"):
        stack(x, training=True)


def test_explain_says_what_takes_a_kernel_away():
    def reason(training, **arguments):
        layer = layers.LSTM(3, **arguments)
        best = "native" if keras.backend.backend() == "torch" else "cudnn"
        return engine.refusal(layer, best, training) or ""

    def of_masks(training, **arguments):
        return layers.LSTM(3, **arguments).cell.random_masks.refusal(training)

    plain = reason(True)
    for kept in ({"dropout": 0.1, "dropout_mask": "step"}, {"weight_dropout": 0.1}):
        assert reason(True, **kept) == plain
        assert of_masks(True, **kept) is None
    for lost in ({"recurrent_dropout": 0.1}, {"update_dropout": 0.1}, {"zoneout": 0.1}):
        (name,) = lost
        assert f"{name}=0.1" in of_masks(True, **lost)
        assert of_masks(False, **lost) is None
        assert f"{name}=0.1" in of_masks(False, monte_carlo=True, **lost)
    if plain:  # No kernel here at all.
        return
    assert "weight_dropout would keep" in reason(True, recurrent_dropout=0.1)
    assert reason(False, recurrent_dropout=0.1) == plain
    assert "recurrent" in reason(False, recurrent_dropout=0.1, monte_carlo=True)
    assert "zoneout=0.1 keeps values" in reason(True, zoneout=0.1)
    assert "zoneout=0.1 mixes the old state" in reason(False, zoneout=0.1)
    assert "layer_norm=True" in reason(False, layer_norm=True)
    model = keras.Sequential([layers.LSTM(3, update_dropout=0.2)])
    assert "update_dropout=0.2" in explain(model)[0].reason
    (row,) = explain(model, training=False)
    assert row[2:] == explain(layers.LSTM(3))[0][2:]
