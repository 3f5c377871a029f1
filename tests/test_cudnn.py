"""TensorFlow: layers on cuDNN's op, with an emulator of it in its place."""

import catalogue
import cudnn
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensors import randomize

import keras_rnnx
from keras_rnnx import engine, layers, testing

ROWS, STEPS, FEATURES, UNITS = 4, 5, 3, 6
# Layers, and the mode of the op they run in.
MODES = {
    "LSTM": ("lstm", {}),
    "CIFG": ("lstm", {}),
    "GRU": ("gru", {}),
    "UGRNN": ("gru", {}),
    "JANET": ("gru", {"beta": 0}),
    "MGU": ("gru", {"reset_after": True}),
    "LeakyRNN": ("gru", {"leak_trainable": True}),
    "FastRNN": ("gru", {}),
    "SimpleRNN": ("rnn_tanh", {}),
    "IRNN": ("rnn_relu", {}),
    "NPRNN": ("rnn_relu", {}),
}
MASK = np.array([[1] * 5, [1, 1, 0, 1, 0], [0] * 5, [0, 0, 1, 1, 1]], bool)


@pytest.fixture
def emulator(monkeypatch):
    return cudnn.installed(monkeypatch)


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, STEPS, FEATURES)).astype("float32")


def make(name, **kwargs):
    return getattr(layers, name)(UNITS, **{**MODES[name][1], **kwargs})


def sequential(*stack, **compiled):
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), *stack])
    randomize(model, seed=1)
    model.compile(keras.optimizers.Adam(0.01), "mse", **compiled)
    return model


@pytest.mark.parametrize("name", MODES)
def test_the_plan_is_cudnn_where_there_is_a_gpu(name, emulator):
    mode, _ = MODES[name]
    plan = engine.plan(make(name))
    assert (plan.engine, plan.kernel) == ("cudnn", f"cuDNN {mode}")
    assert plan.reason.startswith("exact")
    (row,) = keras_rnnx.explain(make(name))
    assert (row.engine, row.kernel, row.reason) == tuple(vars(plan).values())
    assert engine.plan(make(name, use_cudnn=False)).engine == "fused"


@pytest.mark.parametrize("name", MODES)
def test_use_cudnn_changes_no_number(name, emulator, x):
    found = {}
    for use_cudnn in (True, False):
        layer = make(
            name, use_cudnn=use_cudnn, return_sequences=True, return_state=True
        )
        layer.build(x.shape)
        randomize(layer, seed=1)
        rng = np.random.default_rng(2)
        n = len(layer.cell.states)
        states = [
            0.5 * rng.normal(size=(ROWS, UNITS)).astype("float32") for _ in range(n)
        ]
        cotangents = [rng.normal(size=(ROWS, STEPS, UNITS))]
        cotangents += [rng.normal(size=(ROWS, UNITS)) for _ in range(n)]

        def call(x, *states, layer=layer):
            return layer(x, initial_state=list(states), mask=MASK, training=True)

        variables = layer.trainable_variables
        found[use_cudnn] = testing.gradients(call, [x, *states], variables, cotangents)
        assert [call["rnn_mode"] for call in emulator.calls] == [MODES[name][0]]
    for ours, theirs in zip(sum(found[True], []), sum(found[False], []), strict=True):
        scale = max(1, np.max(np.abs(theirs)))
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * scale, rtol=0)


@pytest.mark.parametrize(
    "name, kwargs, training, reason",
    [
        ("GRU", {"reset_after": False}, False, "reset_after=False multiplies by U"),
        ("MGU", {"reset_after": False}, False, "reset_after=False multiplies by U"),
        (
            "JANET",
            {"beta": 1.0},
            False,
            "beta=1.0 forgets and writes by different amounts",
        ),
        ("LSTM", {"activation": "relu"}, False, "activation='relu', where"),
        ("LSTM", {"recurrent_dropout": 0.5}, True, "recurrent_dropout=0.5 draws"),
        ("LSTM", {"unroll": True}, False, "unroll=True asks for an unrolled loop"),
    ],
)
def test_use_cudnn_says_why_it_cannot_be_had(
    name, kwargs, training, reason, emulator, x
):
    layer = make(name, use_cudnn=True, **kwargs)
    message = f"use_cudnn=True is not possible for layer '{layer.name}' .*{reason}"
    with pytest.raises(ValueError, match=message):
        layer(x, training=training)
    assert not emulator.calls
    # Unasked, another engine takes it.
    layer = make(name, **kwargs)
    assert engine.plan(layer, training).engine == "fused"
    assert reason in engine.plan(layer, training).reason


def test_without_a_gpu_there_is_none(x):
    with pytest.raises(ValueError, match="LSTMCell on the tensorflow.*finds no GPU"):
        make("LSTM", use_cudnn=True)(x)
    assert engine.plan(make("LSTM")).engine == "fused"


@pytest.mark.parametrize("compiled", [False, True])
def test_an_error_of_the_op_is_not_swallowed(compiled, emulator, monkeypatch, x):
    def fails(**arguments):
        raise tf.errors.InternalError(None, None, "CUDNN_STATUS_EXECUTION_FAILED")

    monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", fails)
    layer = make("LSTM")
    call = tf.function(lambda x: layer(x)) if compiled else layer
    with pytest.raises(tf.errors.InternalError, match="EXECUTION_FAILED"):
        call(x)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "LeakyRNN"])
def test_a_model_trains_is_saved_and_predicts(name, emulator, x, tmp_path):
    y = x.sum(axis=(1, 2))[:, None]
    x[0, 3:] = 0
    model = sequential(
        keras.layers.Masking(),
        make(name, return_sequences=True, dropout=0.1),
        make(name),
        keras.layers.Dense(1),
    )
    assert not model.jit_compile, "XLA cannot compile the op"
    losses = model.fit(x, y, epochs=30, batch_size=2, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert {call["rnn_mode"] for call in emulator.calls} == {MODES[name][0]}

    count = len(emulator.calls)
    predicted = model.predict(x, verbose=0)
    assert len(emulator.calls) > count
    np.testing.assert_allclose(predicted, model(x), rtol=1e-5, atol=1e-6)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), predicted, rtol=1e-5)
    with engine.force("step"):
        np.testing.assert_allclose(loaded(x), predicted, rtol=1e-4, atol=1e-5)


def test_a_model_from_a_gpu_runs_without_one(emulator, x, tmp_path, monkeypatch):
    model = sequential(make("LSTM"))
    expected = model.predict(x, verbose=0)
    assert emulator.calls
    path = tmp_path / "model.keras"
    model.save(path)
    monkeypatch.undo()
    loaded = keras.models.load_model(path, compile=False)
    assert engine.plan(loaded.layers[0]).engine == "fused"
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6
    )


def test_xla_is_given_up_for_the_kernel_alone(emulator):
    assert not make("LSTM").supports_jit
    assert make("LSTM", use_cudnn=False).supports_jit
    assert make("GRU", reset_after=False).supports_jit
    assert sequential(make("LSTM", use_cudnn=False)).jit_compile
    assert not sequential(make("LSTM")).jit_compile
    with engine.force("step"):
        assert make("LSTM").supports_jit


def test_xla_is_not_given_up_where_there_is_no_gpu():
    assert make("LSTM").supports_jit


def test_dropout_of_inputs_keeps_the_kernel(emulator, x):
    layer = make("GRU", dropout=0.5, seed=3)
    assert engine.plan(layer, training=True).engine == "cudnn"
    dropped = layer(x, training=True)
    assert len(emulator.calls) == 1
    assert not np.allclose(dropped, layer(x))
    # The same seed drops the same inputs on any engine.
    again = make("GRU", dropout=0.5, seed=3, use_cudnn=False)
    again.build(x.shape)
    again.set_weights(layer.get_weights())
    np.testing.assert_allclose(again(x, training=True), dropped, rtol=1e-5, atol=1e-6)


def test_recurrent_dropout_keeps_it_at_inference_alone(emulator, x):
    layer = make("LSTM", recurrent_dropout=0.5)
    assert engine.plan(layer, training=True).engine == "fused"
    assert engine.plan(layer, training=False).engine == "cudnn"
    layer(x, training=True)
    assert not emulator.calls
    layer(x)
    assert len(emulator.calls) == 1


def test_a_model_with_recurrent_dropout_trains_and_predicts(emulator, x):
    """With engines of both kinds in one model, one of which XLA can compile."""
    model = sequential(make("LSTM", recurrent_dropout=0.2))
    model.fit(x, np.ones((ROWS, UNITS), "float32"), verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), model(x), rtol=1e-5)


def test_a_plan_that_depends_on_the_batch_is_not_compiled_by_xla(emulator):
    """At 200 units, four for each and a batch of 8 the kernel is taken; at 32 not."""
    layer = layers.LeakyRNN(200, activation="leaky_relu")
    plans = {engine.plan(layer, batch=batch).engine for batch in (8, 32)}
    assert plans == {"cudnn", "fused"}
    model = keras.Sequential([keras.Input((2, 1)), layer])
    model.compile("sgd", "mse")
    rows = tf.data.Dataset.from_tensors((tf.ones((2, 1)), tf.ones(200))).repeat(16)
    model.fit(rows.batch(8, drop_remainder=True), shuffle=False, verbose=0)


def test_stateful_layers_carry_the_kernels_states_on(emulator, x):
    stateful, whole = make("LSTM", stateful=True), make("LSTM")
    for layer in (stateful, whole):
        layer.build(x.shape)
        randomize(layer, seed=1)
    stateful(x[:, :2])
    np.testing.assert_allclose(stateful(x[:, 2:]), whole(x), rtol=1e-5, atol=1e-6)
    assert len(emulator.calls) == 3


def test_both_directions_run_on_the_kernel(emulator, x):
    found = {}
    for use_cudnn in ("auto", False):
        layer = keras.layers.Bidirectional(
            make("GRU", use_cudnn=use_cudnn, return_sequences=True)
        )
        layer.build(x.shape)
        randomize(layer, seed=1)
        found[use_cudnn] = layer(x, mask=MASK)
        assert len(emulator.calls) == 2
    np.testing.assert_allclose(found["auto"], found[False], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("variant", ["lstm", "gru", "leaky_rnn_relu"])
def test_one_graph_serves_all_shapes(variant, emulator):
    layer = catalogue.built(variant)

    @tf.function(input_signature=[tf.TensorSpec((None, None, 4))])
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, mask=tf.reduce_any(x > -1.0, axis=-1), training=True)
            loss = tf.reduce_sum(y**2)
        return [
            y,
            *tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)]),
        ]

    for batch, steps in ((3, 5), (2, 9)):
        x = np.random.default_rng(batch).normal(size=(batch, steps, 4))
        x = x.astype("float32")
        x[0, 2] = -2
        found = run(x)
        assert len(emulator.calls) == 1
        with engine.force("step"):
            expected = run.python_function(tf.constant(x))
        for ours, theirs in zip(found, expected, strict=True):
            scale = max(1, np.max(np.abs(theirs)))
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * scale, rtol=0)


def test_a_stack_with_use_cudnn_is_one_call_or_a_call_for_each_layer(emulator, x):
    stack = layers.Stack("lstm", UNITS, depth=3, dropout=0.5, use_cudnn=True)
    stack(x)
    (call,) = emulator.calls
    assert call["input_h"].shape == (3, ROWS, UNITS) and call["time_major"]
    stack(x, training=True)
    assert [call["input_h"].shape[1] for call in emulator.calls[1:]] == [1, 1, 1]
    off = layers.Stack("lstm", UNITS, use_cudnn=False)
    assert "use_cudnn=False" in off.plan()
    refused = layers.Stack("gru", UNITS, use_cudnn=True, reset_after=False)
    with pytest.raises(ValueError, match="use_cudnn=True is not possible for layer"):
        refused(x)


def test_one_graph_of_a_stack_serves_all_shapes(emulator):
    stack = layers.Stack(
        "gru", UNITS, bidirectional=True, return_sequences=True, return_state=True
    )
    stack.build((None, None, FEATURES))
    randomize(stack, seed=1)

    @tf.function(input_signature=[tf.TensorSpec((None, None, FEATURES))])
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            mask = tf.reduce_any(x > -1.0, axis=-1)
            found = stack(x, mask=mask, training=True)
            loss = sum(tf.reduce_sum(y**2) for y in found)
        weights = [v.value for v in stack.trainable_variables]
        return [*found, *tape.gradient(loss, [x, *weights])]

    for batch, steps in ((3, 5), (2, 9)):
        x = np.random.default_rng(batch).normal(size=(batch, steps, FEATURES))
        x = x.astype("float32")
        x[0, 2] = -2
        found = run(x)
        assert len(emulator.calls) == 1
        with engine.force("step"):
            expected = run.python_function(tf.constant(x))
        for ours, theirs in zip(found, expected, strict=True):
            scale = max(1, np.max(np.abs(theirs)))
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * scale, rtol=0)
