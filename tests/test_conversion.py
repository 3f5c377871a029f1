"""`keras_rnnx.convert`: the same model on other layers."""

import collections
import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_rnnx

FEATURES = 3
STEPS = 5
BATCH = 4


def randomize(layer, seed=0):
    """Gives every weight, biases included, values of its own."""
    random = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(random.normal(0, 0.6, weight.shape))


def sample(seed=1):
    """Sequences with steps to mask: none, some anywhere, all but one, the last."""
    x = np.random.default_rng(seed).normal(size=(BATCH, STEPS, FEATURES))
    x[1, [0, 2]] = x[2, :4] = x[3, 3:] = 0
    return x.astype("float32")


def arrays(outputs):
    return [ops.convert_to_numpy(y) for y in keras.tree.flatten(outputs)]


def run(model, *inputs, **kwargs):
    compiled = isinstance(model, keras.Model) and not kwargs
    return arrays((model.predict_on_batch if compiled else model)(*inputs, **kwargs))


def assert_equal(first, second, tolerance=1e-5):
    first, second = arrays(first), arrays(second)
    assert len(first) == len(second)
    for a, b in zip(first, second):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def recurrent(layer):
    """The recurrent layers in a layer, as the tests hold them to be."""
    found = {}

    def visit(value):
        if isinstance(value, keras.Layer) and id(value) not in found:
            found[id(value)] = value
            visit(list(vars(value).values()))
            visit(value.layers if isinstance(value, keras.Model) else [])
        elif isinstance(value, dict):
            visit(list(value.values()))
        elif isinstance(value, (list, tuple, set)):
            for item in value:
                visit(item)

    visit(layer)
    return [v for v in found.values() if isinstance(v, keras.layers.RNN)]


def is_ours(layer):
    return isinstance(layer, keras_rnnx.layers.RNN)


def assert_converted(model, *inputs, **kwargs):
    """Converts a built model, checks the result and returns it."""
    randomize(model)
    before = model.get_weights()
    types = [type(layer) for layer in recurrent(model)]
    expected = run(model, *inputs, **kwargs)
    new, report = keras_rnnx.convert(model, report=True)
    assert recurrent(new) and all(map(is_ours, recurrent(new)))
    assert [row.converted for row in report] == [True] * len(types)
    assert type(new) is type(model) or not isinstance(model, keras.Model)
    assert new.name == model.name
    for a, b in zip(before, new.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert_equal(run(new, *inputs, **kwargs), expected)
    # The given model stays as it is, whatever becomes of the new one.
    randomize(new, seed=2)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [type(layer) for layer in recurrent(model)] == types
    new.set_weights(before)
    return new


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


@keras.saving.register_keras_serializable("test_conversion")
class Doubling(layers.LSTM):
    """A layer of Keras with code of its own."""

    def call(self, sequences, initial_state=None, mask=None, training=False):
        return 2 * super().call(sequences, initial_state, mask, training)


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


def inputs():
    return keras.Input((STEPS, FEATURES))


def sequential():
    return keras.Sequential(
        [
            inputs(),
            layers.LSTM(4, return_sequences=True, name="first"),
            layers.Dense(3),
            layers.GRU(4, name="second"),
        ],
        name="stacked",
    )


def sequential_by_call():
    model = keras.Sequential(
        [layers.GRU(4, return_sequences=True), layers.SimpleRNN(3)]
    )
    model.build((None, STEPS, FEATURES))
    return model


def bidirectional():
    forward = layers.GRU(4, return_sequences=True, reset_after=False)
    return keras.Sequential(
        [
            inputs(),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True), "sum"),
            layers.Bidirectional(forward),
            layers.Bidirectional(
                layers.LSTM(4), backward_layer=layers.GRU(3, go_backwards=True)
            ),
        ]
    )


def bidirectional_states():
    x = inputs()
    *outputs, h1, c1, h2, c2 = layers.Bidirectional(
        layers.LSTM(4, return_sequences=True, return_state=True), merge_mode=None
    )(x)
    again = layers.Bidirectional(layers.LSTM(4))
    return keras.Model(x, [*outputs, again(x, initial_state=[h2, c2, h1, c1])])


def time_distributed():
    x = inputs()
    y = layers.Reshape((1, STEPS, FEATURES))(x)
    inner = keras.Sequential([inputs(), layers.GRU(2)])
    outputs = [
        layers.TimeDistributed(layers.LSTM(4))(y),
        layers.TimeDistributed(layers.Bidirectional(layers.SimpleRNN(3)))(y),
        layers.TimeDistributed(inner)(y),
    ]
    return keras.Model(x, outputs)


def masked():
    x = inputs()
    y = layers.Masking()(x)
    outputs = [
        layers.LSTM(4)(y),
        layers.GRU(4, return_sequences=True, go_backwards=True)(y),
        layers.Bidirectional(layers.LSTM(4, return_sequences=True))(y),
        layers.SimpleRNN(3)(layers.LSTM(4, return_sequences=True)(y)),
        layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)], return_sequences=True)(y),
    ]
    return keras.Model(x, outputs)


def encoder_decoder():
    x = inputs()
    _, h, c = layers.LSTM(4, return_state=True, name="encoder")(x)
    decoder = layers.LSTM(4, return_sequences=True, return_state=True, name="decoder")
    sequence, *_ = decoder(x, initial_state=[h, c])
    attended = layers.Attention()([sequence, sequence])
    last = layers.GRU(4)(attended, initial_state=ops.tanh(h) + c)
    return keras.Model(x, {"sequence": sequence, "last": last})


def nested():
    inner = keras.Sequential(
        [inputs(), layers.LSTM(FEATURES, return_sequences=True)], name="inner"
    )
    x = inputs()
    middle = keras.Model(x, layers.GRU(4, return_sequences=True)(inner(x)))
    x = inputs()
    return keras.Model(x, layers.SimpleRNN(3)(middle(x)), name="outer")


@keras.saving.register_keras_serializable("test_conversion")
class Block(keras.Layer):
    """Layers in attributes, made by a constructor that takes none."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.head = layers.Dense(units, name="head")
        self._memory = layers.LSTM(units, return_sequences=True, name="memory")
        self.alias = self._memory
        inner = layers.GRU(units, return_sequences=True, name="inner")
        self.blocks = [layers.Dense(units, name="block"), [inner]]
        self.by_name = collections.OrderedDict(
            z=layers.SimpleRNN(units, return_sequences=True, name="z"),
            a=layers.Dense(units, name="a"),
        )
        both = layers.Bidirectional(layers.LSTM(units, name="each"), name="both")
        self.pair = (both, layers.Dense(1, name="one"))
        self.cell = self._memory.cell

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(self.units,), name="scale")
        for layer in (self.head, self._memory, self.by_name["z"]):
            layer.build(input_shape)
        shape = (*input_shape[:-1], self.units)
        self.blocks[0].build(shape)
        self.blocks[1][0].build(shape)
        self.by_name["a"].build(shape)
        self.pair[0].build(shape)
        self.pair[1].build((None, 2 * self.units))

    def call(self, inputs):
        y = self._memory(inputs) * self.scale + self.head(inputs)
        y = self.blocks[1][0](self.blocks[0](y)) + self.alias(inputs)
        y = y + ops.expand_dims(self.cell.bias[: self.units], 0)
        z = inputs
        for layer in self.by_name.values():
            z = layer(z)
        return self.pair[1](self.pair[0](y + z))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("test_conversion")
class Network(keras.Model):
    """A subclassed model without `build` or `get_config`."""

    def __init__(self, units, name=None):
        super().__init__(name=name)
        self.first = layers.GRU(units, return_sequences=True, name="first")
        inner = layers.LSTM(units, return_sequences=True, name="inner")
        self.blocks = {"b": [inner], "a": layers.Dense(1, name="a")}
        self.normalize = layers.BatchNormalization(name="normalize")
        tail = [layers.SimpleRNN(units, name="last"), layers.Dense(1, name="one")]
        self.tail = keras.Sequential(tail, name="tail")

    def call(self, inputs):
        y = self.normalize(self.first(inputs))
        return self.blocks["a"](self.blocks["b"][0](y))[:, -1] + self.tail(y)

    def get_config(self):
        return {"name": self.name, "units": self.first.units}


@keras.saving.register_keras_serializable("test_conversion")
class Trained(keras.Model):
    """A functional model with a training step of its own."""

    def train_step(self, *args):
        return super().train_step(*args)


def custom_layer():
    return keras.Sequential([inputs(), Block(4), layers.Dense(2)])


def subclassed():
    model = Network(4)
    model(inputs())
    return model


def functional_subclass():
    x = inputs()
    return Trained(x, layers.LSTM(4)(x))


POSITIONS = (
    sequential,
    sequential_by_call,
    bidirectional,
    bidirectional_states,
    time_distributed,
    masked,
    encoder_decoder,
    nested,
    custom_layer,
    subclassed,
    functional_subclass,
)


@pytest.mark.parametrize("make", POSITIONS)
def test_position(make, tmp_path):
    model = make()
    new = assert_converted(model, sample())
    new.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_equal(loaded.get_weights(), new.get_weights(), 0)
    assert len(recurrent(loaded)) == len(recurrent(new))
    # A class that makes its layers itself makes those of Keras again.
    own = make in (custom_layer, subclassed)
    assert own or all(map(is_ours, recurrent(loaded)))


def test_embedding_masks_and_several_inputs():
    words = keras.Input((None,), dtype="int32", name="words")
    numbers = keras.Input((STEPS, FEATURES), name="numbers")
    embedded = layers.Embedding(7, 3, mask_zero=True)(words)
    encoded = layers.Bidirectional(layers.GRU(4))(embedded)
    state = layers.Dense(4)(encoded)
    outputs = layers.GRU(4)(numbers, initial_state=state)
    model = keras.Model({"words": words, "numbers": numbers}, [outputs, encoded])
    ids = np.array([[1, 2, 0, 0], [0, 3, 0, 4], [5, 6, 1, 2], [0, 0, 0, 0]])
    assert_converted(model, {"words": ids, "numbers": sample()})


def test_shared_layers_stay_shared():
    shared = layers.LSTM(FEATURES, return_sequences=True, name="shared")
    dense = layers.Dense(2, name="dense")
    wrapped = layers.TimeDistributed(dense, name="wrapped")
    x = inputs()
    inner = keras.Model(x, shared(x), name="inner")
    x = inputs()
    y = shared(shared(x))
    over_time = layers.TimeDistributed(shared, name="over_time")
    folded = over_time(layers.Reshape((1, STEPS, FEATURES))(y))
    outputs = [wrapped(y), wrapped(inner(x)), dense(y), folded]
    new = assert_converted(keras.Model(x, outputs), sample())
    layer = new.get_layer("shared")
    assert new.get_layer("inner").get_layer("shared") is layer
    assert new.get_layer("over_time").layer is layer
    assert new.get_layer("wrapped").layer is new.get_layer("dense")
    assert len(recurrent(new)) == 1


def test_shared_cell_stays_shared():
    cell = layers.GRUCell(4)
    x = inputs()
    outputs = [layers.RNN(cell)(x), layers.RNN(cell, go_backwards=True)(x)]
    new = assert_converted(keras.Model(x, outputs), sample())
    first, second = recurrent(new)
    assert first.cell is second.cell


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


def test_optional_input():
    x = inputs()
    state = keras.Input((4,), optional=True, name="state")
    hidden = Filled(4)([x, state])
    model = keras.Model([x, state], layers.GRU(4)(x, initial_state=hidden))
    randomize(model)
    new = keras_rnnx.convert(model)
    data = sample()
    assert_equal(new([data, None]), model([data, None]))


class Filled(keras.Layer):
    """Zeros for a state that is not given."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def call(self, inputs):
        x, state = inputs
        return x[:, 0, :1] * ops.zeros((1, self.units)) if state is None else state

    def compute_output_shape(self, input_shape):
        return input_shape[0][0], self.units

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def test_layers_without_weights_that_cannot_be_copied_serve_both():
    factor = 2.5
    x = inputs()
    y = layers.Lambda(lambda t: t * factor, name="scaled")(x)
    y = layers.TimeDistributed(layers.Lambda(lambda t: t + factor))(y)
    assert_converted(keras.Model(x, layers.LSTM(4)(y)), sample())


def left_alone(model):
    """Converts a model with the warning it must give; returns it and the rows."""
    new, report = keras_rnnx.convert(model, report=True)
    rows = [row for row in report if not row.converted]
    with pytest.warns(UserWarning, match="left alone") as caught:
        keras_rnnx.convert(model)
    text = [str(w.message) for w in caught if "left alone" in str(w.message)]
    for row in rows:
        assert f"{row.layer!r} ({row.type}): {row.reason}" in text[0]
    return new, {row.layer: row.reason for row in rows}


def test_layers_left_alone_are_reported():
    x = inputs()
    images = layers.Reshape((STEPS, FEATURES, 1))(x)
    outputs = [
        Doubling(4, name="subclass")(x),
        layers.ConvLSTM1D(2, 2, name="convolution")(images),
        layers.GRU(4, recurrent_dropout=1.0, name="all_dropped")(x),
        layers.RNN([layers.GRUCell(4), layers.LSTMCell(4, dropout=1.0)], name="stack")(
            x
        ),
        layers.Bidirectional(Doubling(3), name="both")(x),
        layers.LSTM(4, name="converted")(x),
    ]
    model = keras.Model(x, outputs)
    randomize(model)
    new, reasons = left_alone(model)
    assert reasons == {
        "subclass": "Doubling is a subclass, whose own code would be lost",
        "convolution": "keras_rnnx has no ConvLSTM1D",
        "all_dropped": "recurrent_dropout=1.0 is not in [0, 1), where keras_rnnx "
        "has its rates",
        "stack": "dropout=1.0 is not in [0, 1), where keras_rnnx has its rates",
        "both/forward_doubling": reasons["subclass"],
        "both/backward_doubling": reasons["subclass"],
    }
    assert [v.name for v in recurrent(new) if is_ours(v)] == ["converted"]
    assert_equal(new.get_weights(), model.get_weights(), 0)


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
    message = f"use_cudnn=True cannot be had for layer 'memory' .*{refused}"
    with pytest.raises(ValueError, match=message):
        new(np.ones((2, STEPS, FEATURES), "float32"))


def test_a_layer_left_alone_keeps_its_use_cudnn():
    """Keras does not write it into the config."""
    new, _ = left_alone(layers.LSTM(4, dropout=1.0, use_cudnn=True))
    assert type(new) is layers.LSTM and new.use_cudnn is True


def test_a_report_silences_the_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        new, report = keras_rnnx.convert(Doubling(4, name="memory"), report=True)
    assert type(new) is Doubling
    assert [tuple(row) for row in report] == [
        ("memory", "Doubling", False, report[0].reason)
    ]
    assert "memory" in str(report) and "Doubling is a subclass" in str(report)


@keras.saving.register_keras_serializable("test_conversion")
class Late(keras.Layer):
    """Makes some of its layers in `build`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.early = layers.LSTM(4, return_sequences=True, name="early")

    def build(self, input_shape):
        self.early.build(input_shape)
        self.late = layers.GRU(3, name="late")
        self.late.build((*input_shape[:-1], 4))

    def call(self, inputs):
        return self.late(self.early(inputs))


def test_layer_made_in_build_is_left_alone():
    model = keras.Sequential([inputs(), Late(name="owner")])
    randomize(model)
    new, reasons = left_alone(model)
    assert reasons == {"owner/late": "Late makes it in `build`"}
    assert is_ours(new.layers[0].early) and not is_ours(new.layers[0].late)
    assert_equal(run(new, sample()), run(model, sample()))


class Fixed(keras.Model):
    """A functional model that makes its own graph, and adds a method."""

    def __init__(self, units):
        x = inputs()
        super().__init__(x, layers.LSTM(units, name="memory")(x))

        self.units = units

    def twice(self, x):
        return 2 * self(x)

    def get_config(self):
        return {"units": self.units}


class Plain(keras.Sequential):
    """A Sequential model that makes its own layers, and nothing else."""

    def __init__(self):
        super().__init__([inputs(), layers.LSTM(4)])


def test_model_classes_that_make_their_own_graph():
    model = Fixed(4)
    randomize(model)
    new, reasons = left_alone(model)
    assert list(reasons) == ["memory"] and "twice" in reasons["memory"]
    assert_equal(new.twice(sample()), model.twice(sample()))
    model = Plain()
    randomize(model)
    new = keras_rnnx.convert(model)
    assert type(new) is keras.Sequential and is_ours(new.layers[0])
    assert_equal(run(new, sample()), run(model, sample()))


class Stepped(keras.Layer):
    """Steps a cell by hand."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.cell = layers.GRUCell(4, name="by_hand")

    def call(self, inputs):
        h = ops.zeros((ops.shape(inputs)[0], 4))
        return self.cell(inputs[:, 0], [h])[0]


def test_cell_stepped_by_hand_is_left_alone():
    model = keras.Sequential([inputs(), Stepped(name="owner")])
    randomize(model)
    new, reasons = left_alone(model)
    assert reasons == {"owner/by_hand": "stepped by code outside of a layer"}
    assert_equal(run(new, sample()), run(model, sample()))


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


class Unsaved(keras.Model):
    """Cannot be made anew from a config."""

    def __init__(self, layer):
        super().__init__()
        self.memory = layer

    def call(self, inputs):
        return self.memory(inputs)


class Default(keras.Model):
    """Keras makes it anew with 4 units, however many it has."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.memory = layers.LSTM(units)


def test_model_that_cannot_be_copied():
    for model in (Unsaved(layers.LSTM(4)), Default(8)):
        with pytest.raises(ValueError, match="cannot copy '.*has no `get_config`"):
            keras_rnnx.convert(model)


@pytest.mark.parametrize("given", [None, layers.LSTM, "lstm", [1]])
def test_wrong_argument(given):
    with pytest.raises(TypeError, match="takes a Keras model or layer, received"):
        keras_rnnx.convert(given)
