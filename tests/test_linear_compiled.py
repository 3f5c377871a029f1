"""Linear recurrences in compiled functions, in models, and with sizes not known."""

import importlib

import keras
import numpy as np
import pytest
from recurrences import (
    BACKEND,
    BATCH,
    EXACT,
    UNITS,
    computed,
    double,  # noqa: F401
    drawn,
    loop,
    loop_gradients,
)

from benchmarks import linear_recurrence as linear
from keras_rnnx.engine.scan.algorithms import WAYS


@pytest.mark.parametrize("way", WAYS)
def test_inside_of_a_compiled_function(way):
    *inputs, d = drawn((13, BATCH, UNITS), 13)

    def run(*inputs):
        return linear.linear_recurrence(*inputs, way=way)

    if BACKEND == "tensorflow":
        tf = importlib.import_module("tensorflow")

        @tf.function(jit_compile=True)
        def compiled(*inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                states = run(*inputs)
            return [states, *tape.gradient(states, inputs, output_gradients=d)]

    elif BACKEND == "jax":
        jax = importlib.import_module("jax")

        @jax.jit
        def compiled(*inputs):
            states, pull = jax.vjp(run, *inputs)
            return [states, *pull(d)]

    else:
        torch = importlib.import_module("torch")

        def compiled(*inputs):
            with torch.inference_mode():
                found = run(*map(torch.tensor, inputs))
            return [found, *computed(*inputs, d, way=way)[1]]

    expected = [loop(*inputs), *loop_gradients(*inputs, d)]
    for x, y in zip(compiled(*inputs), expected, strict=True):
        np.testing.assert_allclose(x, y, **EXACT)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="sizes are unknown in a graph")
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("way", [None, "sequential"])
def test_sizes_that_are_not_known_beforehand(way, constant):
    tf = importlib.import_module("tensorflow")
    steps = tf.TensorSpec((None, None, UNITS), "float64")
    a = tf.TensorSpec((1, 1, UNITS), "float64") if constant else steps

    @tf.function(
        input_signature=[a, steps, tf.TensorSpec((None, UNITS), "float64"), steps]
    )
    def compiled(a, b, initial, d):
        with tf.GradientTape() as tape:
            tape.watch([a, b, initial])
            states = linear.linear_recurrence(a, b, initial, True, way)
        found = tape.gradient(states, [a, b, initial], output_gradients=d)
        return [states, *found]

    for steps, batch in ((13, 2), (1, 3), (2, 1), (30, 2)):
        shape = (1, 1, UNITS) if constant else (steps, batch, UNITS)
        given = drawn(shape, steps, batch=batch)
        expected = [loop(*given[:3], True), *loop_gradients(*given, True)]
        for x, y in zip(compiled(*given), expected, strict=True):
            np.testing.assert_allclose(x, y, **EXACT)
    given = drawn((1, 1, UNITS) if constant else (0, 2, UNITS), 0, batch=2)
    states, *found = compiled(*given)
    assert states.shape == (0, 2, UNITS)
    assert not np.any(found[0]) and not np.any(found[2])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="sizes are unknown in a graph")
def test_a_number_of_steps_that_the_parallel_way_has_to_know():
    tf = importlib.import_module("tensorflow")
    steps = tf.TensorSpec((None, 2, UNITS))

    @tf.function(input_signature=[steps])
    def call(x):
        return linear.linear_recurrence(x, x, x[0], way="parallel")

    with pytest.raises(ValueError, match="way='parallel'.*way='blocked'"):
        call.get_concrete_function()


@pytest.mark.parametrize("jit", [False] if BACKEND == "torch" else [False, True])
def test_in_a_model_for_sequences_of_any_length(jit):
    class Forgetting(keras.layers.Layer):
        """A minGRU without candidate."""

        def build(self, shape):
            self.dense = keras.layers.Dense(shape[-1])
            self.dense.build(shape)

        def call(self, x):
            x = keras.ops.transpose(x, (1, 0, 2))
            z = keras.ops.sigmoid(self.dense(x))
            initial = keras.ops.zeros_like(x[0])
            h = linear.linear_recurrence(1 - z, z * x, initial)
            return keras.ops.transpose(h, (1, 0, 2))

    model = keras.Sequential([keras.Input((None, 3)), Forgetting()])
    assert model.output_shape == (None, None, 3)
    model.compile("sgd", "mse", jit_compile=jit)
    # 30 steps make whole blocks; a batch is smaller than the others.
    for steps in (1, 7, 30):
        x = np.random.default_rng(steps).normal(size=(3, steps, 3)).astype("float32")
        loss = model.fit(x, np.zeros_like(x), batch_size=2, verbose=0).history["loss"]
        kernel, bias = (
            keras.ops.convert_to_numpy(v) for v in model.trainable_variables
        )
        assert np.all(np.isfinite(loss)) and np.any(bias)
        z = 1 / (1 + np.exp(-(x @ kernel + bias)))
        z, x_t = (v.astype("float64").transpose(1, 0, 2) for v in (z, x))
        expected = loop(1 - z, z * x_t, np.zeros((3, 3))).transpose(1, 0, 2)
        found = model.predict(x, verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(BACKEND != "jax", reason="sizes are symbols in JAX alone")
@pytest.mark.parametrize("reverse", [False, True])
def test_an_exported_function_of_any_length(reverse):
    jax = importlib.import_module("jax")
    export = importlib.import_module("jax.export")
    t, b = export.symbolic_shape("t, b")
    sizes = (t, b, UNITS), (t, b, UNITS), (b, UNITS)
    exported = export.export(jax.jit(lambda *x: linear.linear_recurrence(*x, reverse)))(
        *(jax.ShapeDtypeStruct(size, "float64") for size in sizes)
    )
    for steps in (1, 9):
        *given, _ = drawn((steps, BATCH, UNITS), steps)
        found = exported.call(*given)
        np.testing.assert_allclose(found, loop(*given, reverse), **EXACT)
