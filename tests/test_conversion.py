"""`keras_rnnx.convert`: layers and cells on others, and what is kept of them."""

import warnings

import keras
import numpy as np
import pytest
from conversions import (
    BATCH,
    FEATURES,
    STEPS,
    assert_converted,
    assert_equal,
    inputs,
    is_ours,
    nested,
    randomize,
    recurrent,
    run,
    sample,
    sequential,
)
from keras import layers, ops
from tensors import arrays

import keras_rnnx


@keras.saving.register_keras_serializable("test_conversion")
class Averaging(keras.Layer):
    """A cell that keras_rnnx does not know."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = self.output_size = units
        self.dense = layers.Dense(units, name="dense")

    def build(self, input_shape):
        self.dense.build((None, input_shape[-1] + self.units))

    def call(self, inputs, states):
        h = 0.5 * states[0] + self.dense(ops.concatenate([inputs, states[0]], -1))
        return h, [h]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


KINDS = {
    "lstm": lambda **k: layers.LSTM(4, **k),
    "lstm_activations": lambda **k: layers.LSTM(
        4, activation="relu", recurrent_activation="hard_sigmoid", **k
    ),
    "lstm_no_bias": lambda **k: layers.LSTM(4, use_bias=False, **k),
    "lstm_unrolled": lambda **k: layers.LSTM(4, unroll=True, **k),
    "lstm_zero_output": lambda **k: layers.LSTM(4, zero_output_for_mask=True, **k),
    "gru": lambda **k: layers.GRU(4, **k),
    "gru_v3": lambda **k: layers.GRU(4, reset_after=False, **k),
    "gru_no_bias": lambda **k: layers.GRU(4, use_bias=False, activation=None, **k),
    "simple": lambda **k: layers.SimpleRNN(4, activation="sigmoid", **k),
    "rnn_lstm": lambda **k: layers.RNN(layers.LSTMCell(4), **k),
    "rnn_gru": lambda **k: layers.RNN(layers.GRUCell(4, reset_after=False), **k),
    "rnn_simple": lambda **k: layers.RNN(layers.SimpleRNNCell(4), **k),
    "rnn_stack": lambda **k: layers.RNN([layers.LSTMCell(4), Averaging(3)], **k),
    "rnn_other": lambda **k: layers.RNN(Averaging(4), **k),
    "rnn_ours": lambda **k: layers.RNN(keras_rnnx.cells.LeakyRNNCell(4), **k),
}


@pytest.mark.parametrize("kind", KINDS)
def test_layer(kind):
    layer = KINDS[kind](
        return_sequences=True, return_state=True, go_backwards="lstm" in kind
    )
    layer.build((None, None, FEATURES))
    random = np.random.default_rng(3)
    states = keras.tree.map_structure(
        lambda state: random.normal(size=state.shape).astype("float32"),
        layer.get_initial_state(BATCH),
    )
    new = assert_converted(layer, sample(), initial_state=states)
    if kind not in ("rnn_other", "rnn_stack"):
        assert keras_rnnx.engine.plan(new).engine != "step"


@pytest.mark.parametrize("kind", ["lstm", "gru_v3", "rnn_other"])
def test_layer_not_yet_built(kind):
    new = keras_rnnx.convert(KINDS[kind]())
    assert is_ours(new) and not new.built
    assert new(sample()).shape == (BATCH, 4)


def test_cell():
    stack = layers.StackedRNNCells([layers.LSTMCell(4), layers.SimpleRNNCell(3)])
    for cell in (layers.GRUCell(4), stack):
        cell.build((None, FEATURES))
        randomize(cell)
        new = keras_rnnx.convert(cell)
        assert isinstance(getattr(new, "cells", [new])[0], keras_rnnx.cells.Cell)
        assert_equal(keras_rnnx.layers.RNN(new)(sample()), layers.RNN(cell)(sample()))


def test_attributes_are_kept():
    options = {
        "kernel_initializer": keras.initializers.RandomUniform(seed=3),
        "recurrent_initializer": keras.initializers.Orthogonal(gain=2.0, seed=4),
        "bias_initializer": keras.initializers.Constant(0.25),
        "kernel_regularizer": keras.regularizers.L2(0.1),
        "recurrent_regularizer": keras.regularizers.L1(0.2),
        "bias_regularizer": keras.regularizers.L1L2(0.3, 0.4),
        "activity_regularizer": keras.regularizers.L2(0.5),
        "kernel_constraint": keras.constraints.MaxNorm(2.0),
        "recurrent_constraint": keras.constraints.UnitNorm(),
        "bias_constraint": keras.constraints.NonNeg(),
        "unit_forget_bias": False,
        "dropout": 0.25,
        "recurrent_dropout": 0.5,
        "seed": 7,
        "trainable": False,
        "dtype": "mixed_float16",
        "name": "memory",
        "return_sequences": True,
        "return_state": True,
        "zero_output_for_mask": True,
        "use_cudnn": False,
    }
    layer = layers.LSTM(4, activation=ops.sin, **options)
    layer.build((None, None, FEATURES))
    new, report = keras_rnnx.convert(layer, report=True)
    config, kept = new.get_config(), layer.get_config()
    kept.pop("activation")
    assert {name: config[name] for name in kept} == kept
    assert new.activation is ops.sin and new.use_cudnn is False
    assert new.cell.dtype_policy.name == "mixed_float16"
    assert not new.cell.trainable and not new.trainable_weights
    assert_equal(layer.losses, new.losses, 1e-4)
    assert "one mask for all gates" in report[0].reason and report[0].converted
    seeds = layer.cell.seed_generator, new.cell.seed_generator
    assert_equal(*(seed.state.value for seed in seeds), 0)


def test_states_of_stateful_layers_are_kept():
    x = keras.Input(batch_shape=(BATCH, STEPS, FEATURES))
    y = layers.Bidirectional(layers.GRU(3, stateful=True, return_sequences=True))(x)
    cells = [layers.LSTMCell(2), layers.SimpleRNNCell(3)]
    y = layers.RNN(cells, stateful=True)(y)
    model = keras.Model(x, y)
    randomize(model)
    model(sample())
    new = keras_rnnx.convert(model)
    states = [layer.states for layer in recurrent(model)]
    assert_equal([layer.states for layer in recurrent(new)], states, 0)
    assert np.abs(arrays(states)[0]).max() > 0.01
    second = arrays(new(sample(5)))
    assert_equal(model(sample(5)), second)
    assert_equal([layer.states for layer in recurrent(new)], states)


def test_trainable_flags_are_kept():
    model = nested()
    model.layers[1].layers[1].layers[0].trainable = False
    model.layers[-1].cell.bias.trainable = False
    frozen = sequential()
    frozen.trainable = False
    frozen.layers[0].trainable = True
    for given in (model, frozen):
        new = keras_rnnx.convert(given)
        pairs = list(zip(recurrent(given), recurrent(new), strict=True))
        assert [a.trainable for a, _ in pairs] == [b.trainable for _, b in pairs]
        assert [v.trainable for v in given.variables] == [
            v.trainable for v in new.variables
        ]
        paths = [v.path for v in new.trainable_variables]
        assert paths == [v.path for v in given.trainable_variables]


def squared(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred))


@pytest.mark.any_backend
def test_converted_model_trains_alone():
    model = sequential()
    randomize(model)
    model.layers[1].trainable = False
    optimizer = keras.optimizers.Adam(0.125)
    model.compile(optimizer, loss=squared, metrics=["mae"])
    before = model.get_weights()
    new = keras_rnnx.convert(model)
    assert new.compiled and new.loss is squared and model.compiled
    assert new.optimizer is not optimizer
    assert float(new.optimizer.learning_rate) == 0.125
    x, y = sample(), np.ones((BATCH, 4), "float32")
    logs = new.train_on_batch(x, y, return_dict=True)
    assert np.isfinite(logs["loss"]) and "mae" in logs
    trained = [np.any(a != b) for a, b in zip(before, new.get_weights())]
    assert trained == [w.trainable for w in new.weights] and sum(trained) == 6
    assert_equal(model.get_weights(), before, 0)
    # The step took nothing from the given model, which takes the same one now.
    model.train_on_batch(x, y)
    assert_equal(model.get_weights(), new.get_weights(), 1e-3)


def test_model_that_cannot_be_compiled_again_is_reported():
    model = sequential()
    model.compile("sgd", loss=lambda y_true, y_pred: squared(y_true, y_pred))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of the lambda.
        new, report = keras_rnnx.convert(model, report=True)
    assert model.compiled and not new.compiled
    assert report[0].layer == "stacked" and not report[0].converted
    assert "not compiled" in report[0].reason and "lambda" in report[0].reason


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_explicit_cudnn_is_asked_of_the_new_layer(name):
    """Which has it, or says why not."""
    layer = getattr(layers, name)(4, use_cudnn=True, name="memory")
    layer.build((None, STEPS, FEATURES))
    new = keras_rnnx.convert(layer)
    assert is_ours(new) and new.use_cudnn is True
    refused = keras_rnnx.engine.refusal(new, "cudnn")
    if refused is None:
        assert keras_rnnx.engine.plan(new).engine == "cudnn"
        return
    message = f"use_cudnn=True is not possible for layer 'memory' .*{refused}"
    with pytest.raises(ValueError, match=message):
        new(np.ones((2, STEPS, FEATURES), "float32"))


def test_own_layers_stay():
    x = inputs()
    y = keras_rnnx.layers.LeakyRNN(4, leak=0.2, name="leaky")(x)
    y = y + keras_rnnx.layers.RNN(layers.LSTMCell(4), name="over_keras")(x)
    model = keras.Model(x, y)
    randomize(model)
    new, report = keras_rnnx.convert(model, report=True)
    assert [row.layer for row in report] == ["over_keras"]
    assert isinstance(new.get_layer("over_keras").cell, keras_rnnx.cells.LSTMCell)
    assert new.get_layer("leaky") is not model.get_layer("leaky")
    assert_equal(run(new, sample()), run(model, sample()))


def test_nothing_to_convert():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    new, report = keras_rnnx.convert(model, report=True)
    assert not report and "No recurrent layers" in str(report)
    assert_equal(new(np.ones((2, 3))), model(np.ones((2, 3))))
