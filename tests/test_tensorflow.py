"""TensorFlow: dynamic shapes, XLA, what is in the loop, export."""

import logging

import catalogue
import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_rnnx
from keras_rnnx import cells, engine, layers, regularizers, testing
from keras_rnnx.callbacks.gradients import batch_gradients
from keras_rnnx.engine import backends
from keras_rnnx.engine.loop.engine import FusedEngine
from keras_rnnx.regularizers import sequences


def reference(layer, x, cotangent):
    with engine.force("step"):
        return testing.gradients(
            lambda x: [layer(x, training=True)],
            [x],
            layer.trainable_variables,
            [cotangent],
        )


@pytest.mark.cases(20)
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("variant", catalogue.VARIANTS)
def test_one_graph_serves_all_shapes(variant, jit_compile):
    layer = catalogue.built(variant)
    traces = []

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, 4)),
            tf.TensorSpec((None, None, layer.cell.output_size)),
        ],
        jit_compile=jit_compile,
    )
    def step(x, cotangent):
        traces.append(x.shape)
        variables = [v.value for v in layer.trainable_variables]
        with tf.GradientTape() as tape:
            y = layer(x, training=True)
            loss = tf.reduce_sum(y * cotangent)
        return y, tape.gradient(loss, variables)

    rng = np.random.default_rng(1)
    for batch, steps in ((3, 5), (2, 9)):
        x = rng.normal(size=(batch, steps, 4)).astype("float32")
        width = (batch, steps, layer.cell.output_size)
        cotangent = rng.normal(size=width).astype("float32")
        y, found = step(x, cotangent)
        (expected,), gradients = reference(layer, x, cotangent)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
        for ours, theirs in zip(found, gradients[1:], strict=True):
            scale = max(1, np.max(np.abs(theirs)))
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * scale)
    assert len(traces) == 1


@pytest.mark.parametrize("variant", ["lstm", "gru", "gru_reset_before"])
def test_wide_layers_in_a_graph(variant):
    """Above a width the products of an odd number of gates are cut in two."""
    tf_backend = backends.current()
    units = tf_backend.WIDE + 1
    assert not tf_backend.prefers_xla(32, 3, units, 3, True)
    cell = catalogue.make(variant).get_config() | {"units": units}
    layer = layers.RNN(type(catalogue.make(variant)).from_config(cell))
    rng = np.random.default_rng(2)
    x = rng.normal(size=(32, 3, 4)).astype("float32")
    layer.build(x.shape)
    cotangent = rng.normal(size=(32, units)).astype("float32")
    found = {}
    for name in ("fused", "step"):
        with engine.force(name):
            found[name] = testing.gradients(
                lambda x: [layer(x, training=True)],
                [x],
                layer.trainable_variables,
                [cotangent],
            )
    for ours, theirs in zip(
        [*found["fused"][0], *found["fused"][1]],
        [*found["step"][0], *found["step"][1]],
        strict=True,
    ):
        scale = max(1, np.max(np.abs(theirs)))
        assert np.max(np.abs(ours - theirs)) <= 1e-5 * scale


def test_xla_only_where_shapes_stay():
    prefers = backends.current().prefers_xla
    assert prefers(32, 50, 64, 4, True)
    assert prefers(None, 50, 64, 4, True)
    assert not prefers(32, None, 64, 4, True), "every length would be compiled anew"
    assert not prefers(32, 50, 64, 4, False), "an eager call may have any batch"
    assert not prefers(16, 50, 512, 4, True), "a graph is faster at this size"
    assert prefers(16, 50, 512, 1, True), "with one product it has nothing to share out"


def test_weight_gradients_are_outside_of_the_loop():
    """The loops hold a product per gate each, and none of a weight gradient's shape."""
    layer = catalogue.built("lstm")

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(layer(x, training=True) ** 2)
        return tape.gradient(y, [v.value for v in layer.trainable_variables])

    graph = step.get_concrete_function(tf.TensorSpec((None, None, 4))).graph
    library = graph.as_graph_def().library.function
    loops = [f for f in library if "while_body" in f.signature.name]
    assert loops
    for function in loops:
        products = [n for n in function.node_def if n.op == "MatMul"]
        assert len(products) <= 4, function.signature.name


@pytest.mark.parametrize("norm", [{}, {"layer_norm": True}, {"batch_norm": True}])
def test_normalized_cells_are_compiled_at_all_sizes(norm):
    cell = cells.LSTMCell(512, **norm)
    layers.RNN(cell).build((16, 5, 3))
    engine = FusedEngine(cell, False, False, None)
    options = engine._options(np.ones((16, 5, 3), "float32"), True, False, True)
    assert options.xla == bool(norm)


def test_penalties_on_sequences_are_one_program_where_steps_are_known(monkeypatch):
    sequences._compiled.cache_clear()
    backend, made = backends.current(), []
    real = backend.compiled_part
    monkeypatch.setattr(
        backend, "compiled_part", lambda function: made.append(0) or real(function)
    )
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    for penalty in (regularizers.AR(0.5), regularizers.TAR(2.0)):
        expected = 2 * float(penalty.penalty(x, None))
        made.clear()
        for _ in range(2):
            np.testing.assert_allclose(penalty(x), expected, rtol=1e-5)
        assert len(made) == 1
        unknown = tf.TensorSpec((None, None, 3))
        graph = tf.function(penalty, input_signature=[unknown])
        np.testing.assert_allclose(graph(x), expected, rtol=1e-5)
        assert len(made) == 1


def test_one_step_has_no_loop():
    """A loop of one step, or a program for XLA, costs more than the step."""
    layer = layers.LSTM(4, stateful=True)
    layer.build((1, 1, 3))
    step = tf.function(lambda x: layer(x, training=False))
    graph = step.get_concrete_function(tf.TensorSpec((1, 1, 3))).graph.as_graph_def()
    functions = graph.library.function
    nodes = [*graph.node, *(n for f in functions for n in f.node_def)]
    assert not {"While", "StatelessWhile"} & {n.op for n in nodes}
    assert not any(f.attr["_XlaMustCompile"].b for f in functions)


@pytest.mark.parametrize("steps", [None, 6])
def test_graphs_for_inference_hold_no_derivatives(steps):
    """ONNX has no operation for them, and LiteRT needs TensorFlow's."""
    layer = layers.MinGRU(4)
    assert keras_rnnx.engine.plan(layer, training=True).engine == "scan"
    layer.build((None, steps, 3))
    call = tf.function(lambda x, m: layer(x, mask=m, training=False))
    given = tf.TensorSpec((None, steps, 3)), tf.TensorSpec((None, steps), tf.bool)
    graph = call.get_concrete_function(*given).graph.as_graph_def()
    functions = graph.library.function
    nodes = [*graph.node, *(n for f in functions for n in f.node_def)]
    assert "BroadcastGradientArgs" not in {n.op for n in nodes}
    assert not any(f.attr["_XlaMustCompile"].b for f in functions)


def test_many_layers_are_not_one_that_is_traced_again(caplog):
    x = np.ones((2, 5, 3), "float32")
    with caplog.at_level(logging.WARNING, "tensorflow"):
        for layer in (
            layers.LSTM,
            layers.GRU,
            layers.LeakyRNN,
            layers.MinGRU,
            layers.IndRNN,
            layers.SimpleRNN,
            layers.QRNN,
        ):
            layer(4)(x)
    assert not caplog.records


def test_many_models_are_not_one_that_is_traced_again(caplog):
    x, y = np.ones((2, 3), "float32"), np.zeros((2, 1), "float32")
    with caplog.at_level(logging.WARNING, "tensorflow"):
        for _ in range(6):
            model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            batch_gradients(model, (x, y))
    assert not caplog.records
