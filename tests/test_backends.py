"""What depends on the backend: compilation, dynamic shapes, export."""

import catalogue
import keras
import numpy as np
import pytest

from keras_rnnx import engine, layers, testing
from keras_rnnx.engine import backends

BACKEND = keras.backend.backend()
on_tensorflow = pytest.mark.skipif(
    BACKEND != "tensorflow", reason="about TensorFlow's graphs"
)


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def built(variant, features=4, **kwargs):
    layer = layers.RNN(catalogue.make(variant), return_sequences=True, **kwargs)
    layer.build((None, None, features))
    rng = np.random.default_rng(0)
    for variable in layer.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))
    return layer


def reference(layer, x, cotangent):
    with engine.force("step"):
        return testing.gradients(
            lambda x: [layer(x, training=True)],
            [x],
            layer.trainable_variables,
            [cotangent],
        )


@on_tensorflow
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("variant", catalogue.VARIANTS)
def test_one_graph_serves_all_shapes(variant, jit_compile):
    import tensorflow as tf

    layer = built(variant)
    traces = []

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, 4)),
            tf.TensorSpec((None, None, 7)),
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
        cotangent = rng.normal(size=(batch, steps, 7)).astype("float32")
        y, found = step(x, cotangent)
        (expected,), gradients = reference(layer, x, cotangent)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
        for ours, theirs in zip(found, gradients[1:], strict=True):
            scale = max(1, np.max(np.abs(theirs)))
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * scale)
    assert len(traces) == 1


@on_tensorflow
@pytest.mark.parametrize("variant", ["lstm", "gru", "gru_reset_before", "simple_rnn"])
def test_wide_layers_in_a_graph(variant):
    """Above a width the products of an odd number of gates are cut in two."""
    tf_backend = backends.current()
    units = tf_backend.WIDE + 1
    assert not tf_backend.prefers_xla(32, 3, units, True)
    cell = catalogue.make(variant).get_config() | {"units": units}
    layer = layers.RNN(type(catalogue.make(variant)).from_config(cell))
    rng = np.random.default_rng(2)
    x = rng.normal(size=(32, 3, 4)).astype("float32")
    layer.build(x.shape)
    cotangent = rng.normal(size=(32, units)).astype("float32")
    found = {}
    for name in engine.ENGINES:
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


@on_tensorflow
def test_xla_only_where_shapes_stay():
    prefers = backends.current().prefers_xla
    assert prefers(32, 50, 64, True)
    assert prefers(None, 50, 64, True)
    assert not prefers(32, None, 64, True), "every length would be compiled anew"
    assert not prefers(32, 50, 64, False), "an eager call may have any batch"
    assert not prefers(16, 50, 512, True), "a graph is faster at this size"


@on_tensorflow
def test_weight_gradients_are_outside_of_the_loop():
    """The loops hold a product per gate each, and none of a weight gradient's shape."""
    import tensorflow as tf

    layer = built("lstm")

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


@on_tensorflow
def test_exported_models_serve(tmp_path):
    import tensorflow as tf

    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, layers.LSTM(5)(keras.layers.Masking()(inputs)))
    x = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
    x[1, 3:] = 0
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(x), numpy(model(x)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "jit_compile", [False] if BACKEND == "torch" else [False, True]
)
def test_fit_on_batches_of_every_length(jit_compile):
    model = keras.Sequential(
        [
            keras.layers.Masking(),
            layers.GRU(6, return_sequences=True),
            layers.LSTM(5),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse", jit_compile=jit_compile)

    class Ragged(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            x = np.random.default_rng(index).normal(size=(2 + index, 4 + index, 3))
            return x.astype("float32"), x[:, 0, :1].astype("float32")

    loss = model.fit(Ragged(), epochs=2, verbose=0).history["loss"]
    assert np.all(np.isfinite(loss))


def test_a_compiled_step_equals_an_eager_call():
    layer = built("lstm")
    x = np.random.default_rng(3).normal(size=(3, 5, 4)).astype("float32")
    eager = numpy(layer(x))
    if BACKEND == "tensorflow":
        import tensorflow as tf

        compiled = tf.function(layer, jit_compile=True)(x)
    elif BACKEND == "jax":
        import jax

        compiled = jax.jit(
            lambda t, n, x: layer.stateless_call(t, n, x)[0],
        )(
            [v.value for v in layer.trainable_variables],
            [v.value for v in layer.non_trainable_variables],
            x,
        )
    else:
        import torch

        with torch.inference_mode():
            compiled = layer(torch.tensor(x))
    np.testing.assert_allclose(numpy(compiled), eager, rtol=1e-6, atol=1e-6)
