"""Layers: in place of Keras' own, wherever those can stand."""

import inspect

import catalogue
import keras
import numpy as np
import pytest
from pairs import FEATURES, MASKS, ROWS, STEPS, UNITS, pair
from tensors import close, numpy, randomize

import keras_rnnx
from keras_rnnx import cells, engine, layers

NAMES = ("LSTM", "GRU", "SimpleRNN")


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, STEPS, FEATURES)).astype("float32")


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"return_sequences": True},
        {"return_sequences": True, "go_backwards": True},
        {"return_sequences": True, "zero_output_for_mask": True},
        {"use_bias": False},
        {"activation": "relu"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", NAMES)
def test_equals_keras(name, kwargs, mask, x):
    theirs, ours = pair(name, return_state=True, **kwargs)
    gated_relu = "activation" in kwargs and name != "SimpleRNN"
    assert engine.plan(ours).engine == ("fused" if gated_relu else catalogue.BEST)
    expected = theirs(x, mask=MASKS[mask])
    for a, b in zip(ours(x, mask=MASKS[mask]), expected, strict=True):
        close(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_takes_every_argument_of_keras(name):
    theirs = inspect.signature(getattr(keras.layers, name).__init__).parameters
    ours = inspect.signature(getattr(layers, name)).parameters
    for parameter in list(theirs.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.name in ("activity_regularizer",):
            getattr(layers, name)(2, activity_regularizer="l2")
            continue
        assert parameter.name in ours, parameter.name
        assert ours[parameter.name].default == parameter.default, parameter.name
    by_position = [p for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in by_position] == list(theirs)[1 : 1 + len(by_position)]


@pytest.mark.parametrize("name", NAMES)
def test_config_goes_both_ways(name):
    given = {
        "units": 3,
        "activation": "relu",
        "use_bias": False,
        "kernel_initializer": "he_normal",
        "recurrent_regularizer": "l2",
        "bias_constraint": "non_neg",
        "dropout": 0.1,
        "recurrent_dropout": 0.2,
        "seed": 7,
        "return_sequences": True,
        "go_backwards": True,
        "unroll": True,
        "dtype": "float64",
        "name": "some",
        "trainable": False,
    }
    ours, theirs = getattr(layers, name), getattr(keras.layers, name)
    config = ours(**given).get_config()
    assert ours.from_config(config).get_config() == config
    written = theirs(**given).get_config()
    if name == "SimpleRNN":
        written["seed"] = 7  # Keras leaves it out here
    assert ours.from_config(written).get_config() == config


@pytest.mark.parametrize("name", NAMES)
def test_weight_files_go_both_ways(name, x, tmp_path):
    def model(module, seed):
        made = keras.Sequential(
            [keras.Input((STEPS, FEATURES)), getattr(module, name)(UNITS)]
        )
        randomize(made, seed)
        return made

    theirs, ours = model(keras.layers, 1), model(layers, 2)
    for source, target in ((theirs, ours), (ours, theirs)):
        randomize(source, 3)
        path = tmp_path / f"{type(source.layers[0]).__module__}.weights.h5"
        source.save_weights(path)
        target.load_weights(path)
        close(target(x), source(x))


@pytest.mark.parametrize("variant", ["lstm", "gru_reset_before", "leaky_rnn_learned"])
def test_trains_in_fit_and_is_saved(variant, x, tmp_path):
    keras.utils.set_random_seed(0)
    y = x.sum(axis=(1, 2), keepdims=True)[:, 0]
    model = keras.Sequential(
        [
            keras.Input((STEPS, FEATURES)),
            layers.RNN(catalogue.make(variant), return_sequences=True),
            layers.RNN(catalogue.make(variant, dropout=0.1, seed=1)),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    losses = model.fit(x, y, epochs=45, batch_size=2, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    path = tmp_path / "model.keras"
    model.save(path)
    close(keras.models.load_model(path)(x), model(x))


def test_functional_and_subclassed_models(x):
    inputs = keras.Input((None, FEATURES))
    masked = keras.layers.Masking()(inputs)
    sequence, h, c = layers.LSTM(UNITS, return_sequences=True, return_state=True)(
        masked
    )
    outputs = layers.LSTM(UNITS)(sequence, initial_state=[h, c])
    functional = keras.Model(inputs, outputs)

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.mask = keras.layers.Masking()
            self.first, self.second = [
                keras.layers.LSTM(
                    UNITS, return_sequences=k == 0, return_state=k == 0, name=f"l{k}"
                )
                for k in (0, 1)
            ]

        def call(self, inputs):
            sequence, *states = self.first(self.mask(inputs))
            return self.second(sequence, initial_state=states)

    x[0, 4:] = 0
    x[1, :2] = 0
    x[2, 1:3] = 0
    subclassed = Subclassed()
    subclassed(x)
    randomize(subclassed)
    functional.set_weights(subclassed.get_weights())
    close(functional(x), subclassed(x))
    # Another length, on the same model.
    close(functional(x[:, :5]), subclassed(x[:, :5]))


@pytest.mark.parametrize("merge_mode", ["concat", "sum", None])
@pytest.mark.parametrize("name", NAMES)
def test_bidirectional(name, merge_mode, x):
    made = [
        keras.layers.Bidirectional(
            getattr(module, name)(UNITS, return_sequences=True), merge_mode=merge_mode
        )
        for module in (keras.layers, layers)
    ]
    for layer in made:
        layer.build(x.shape)
    theirs, ours = made
    randomize(theirs)
    ours.set_weights(theirs.get_weights())
    found = ours(x, mask=MASKS["holes"])
    expected = theirs(x, mask=MASKS["holes"])
    for a, b in zip(keras.tree.flatten(found), keras.tree.flatten(expected)):
        close(a, b)
    assert type(ours.forward_layer) is getattr(layers, name)


def test_time_distributed(x):
    theirs, ours = pair("GRU")
    batch = np.stack([x, 2 * x], axis=1)
    close(
        keras.layers.TimeDistributed(ours)(batch),
        keras.layers.TimeDistributed(theirs)(batch),
    )


@pytest.mark.parametrize("go_backwards", [False, True])
def test_stateful(go_backwards, x):
    theirs, ours = pair("LSTM", stateful=True, go_backwards=go_backwards)
    for start in (0, 2, 4):
        close(ours(x[:, start : start + 2]), theirs(x[:, start : start + 2]))
    for a, b in zip(ours.states, theirs.states):
        close(a, b)
    ours.reset_state()
    assert all(np.all(numpy(s) == 0) for s in ours.states)


def test_foreign_cells_and_stacks_run_in_keras_loop(x):
    for make in (
        lambda: keras.layers.LSTMCell(UNITS),
        lambda: [keras.layers.GRUCell(UNITS), keras.layers.LSTMCell(3)],
        lambda: [cells.GRUCell(UNITS, dropout=0.2, seed=1), cells.LSTMCell(3)],
    ):
        ours, theirs = layers.RNN(make()), keras.layers.RNN(make())
        ours(x), theirs(x)
        randomize(ours)
        theirs.set_weights(ours.get_weights())
        plan = engine.plan(ours)
        assert plan.engine == "step"
        assert "stack" in plan.reason or "not a keras_rnnx cell" in plan.reason
        close(ours(x, mask=MASKS["right"]), theirs(x, mask=MASKS["right"]))
        with engine.force("fused"), pytest.raises(ValueError, match="cannot run"):
            ours(x)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains(policy, x):
    layer = layers.GRU(UNITS, dtype=policy)
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
    model.compile("sgd", "mse")
    before = [numpy(v).copy() for v in layer.trainable_variables]
    model.fit(x, np.ones((ROWS, UNITS), "float32"), verbose=0)
    assert layer.compute_dtype == policy.removeprefix("mixed_")
    assert all(v.dtype == "float32" for v in layer.trainable_variables)
    assert any(np.any(numpy(v) != b) for v, b in zip(layer.trainable_variables, before))


def test_registered_by_name_in_keras():
    for name in layers.__all__:
        registered = keras.saving.get_registered_object(f"keras_rnnx>{name}")
        assert registered is getattr(keras_rnnx.layers, name)


def test_leaky_rnn_at_leak_one_is_a_simple_rnn(x):
    leaky, simple = layers.LeakyRNN(UNITS, leak=1.0), layers.SimpleRNN(UNITS)
    for layer in (leaky, simple):
        layer.build(x.shape)
        randomize(layer)
    close(leaky(x), simple(x))


@pytest.mark.any_backend
@pytest.mark.parametrize("name", ["QRNN", "TGRU", "TLSTM"])
def test_the_shape_of_a_window_is_known_before_the_layer_is_built(name, x):
    """Alone, in a list of cells, in a stack and in both directions."""
    cell = getattr(cells, f"{name}Cell")
    rows, options = [], {"return_state": True}
    for layer in (
        getattr(layers, name)(UNITS, **options),
        layers.RNN([cells.GRUCell(2), cell(UNITS)], **options),
        layers.Stack(cell, [4, UNITS], return_sequences=True, **options),
        layers.Bidirectional(getattr(layers, name)(UNITS, **options)),
    ):
        before = layer.compute_output_shape(x.shape)
        found = layer(x)
        shapes = [tuple(t.shape) for t in keras.tree.flatten(found)]
        rows.append((flat(before), shapes, flat(layer.compute_output_shape(x.shape))))
    for before, shapes, after in rows:
        assert before == shapes == after


def flat(shapes):
    """Those of a list of cells are nested."""
    nested = any(isinstance(n, (list, tuple)) for n in shapes)
    return [s for part in shapes for s in flat(part)] if nested else [tuple(shapes)]
