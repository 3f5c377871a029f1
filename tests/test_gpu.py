"""The engines on a GPU. Run by `make test-gpu`."""

import contextlib

import catalogue
import keras
import numpy as np
import pytest
import test_lowering
from tensors import randomize
from test_lowering import HOLES, KINDS, Drawn, make

from keras_rnnx import cells, engine, layers, testing
from keras_rnnx.engine import backends
from keras_rnnx.testing.conformance import _precision, _run

pytestmark = pytest.mark.gpu
BACKEND = keras.backend.backend()
LOWERED = list(dict.fromkeys(["lstm", "lstmp", "simple_rnn", *KINDS]))
# JAX has the LSTM alone, and that in float32; TensorFlow all but a projection.
SERVED = [
    variant
    for variant in LOWERED
    if not backends.current().kernel_refusal(make(variant).lowering().kernel, "float32")
]
TOLERANCE = {"float32": 1e-4} | ({} if BACKEND == "jax" else {"float64": 1e-9})
MASK = tuple(map(tuple, HOLES))
BATCH, STEPS, FEATURES = *HOLES.shape, 3


def gpu():
    if BACKEND == "torch":
        import torch

        return torch.cuda.is_available()
    if BACKEND == "jax":
        import jax

        return jax.default_backend() == "gpu"
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


@contextlib.contextmanager
def full_precision():
    """Products in float32 as they are, and not in TF32, in loops and kernels."""
    if BACKEND == "torch":
        import torch

        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield  # Products outside of cuDNN are in full precision by default.
    elif BACKEND == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
    else:
        import tensorflow as tf

        before = tf.config.experimental.tensor_float_32_execution_enabled()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            tf.config.experimental.enable_tensor_float_32_execution(before)


@pytest.fixture(autouse=True)
def on_a_gpu():
    if not gpu():
        pytest.skip(f"{BACKEND} finds no GPU")
    with full_precision():
        yield


@pytest.fixture
def kernel_calls(monkeypatch):
    """Counts calls of the kernel, in compiled code its tracing: a one-element list."""
    count, backend = [0], backends.current()
    real = backend.run_kernel

    def counting(*args):
        count[0] += 1
        return real(*args)

    monkeypatch.setattr(backend, "run_kernel", counting)
    return count


def on_both(cell, case, kernel_calls, seed=3):
    """Values on the step engine and on cuDNN, which must have been called."""
    with _precision(case.dtype):
        expected = _run(cell, case, "step", seed)
        assert not kernel_calls[0]
        found = _run(cell, case, "cudnn", seed)
    assert kernel_calls[0]
    return found, expected


@pytest.mark.parametrize("variant", SERVED)
def test_the_plan_is_cudnn(variant):
    kernel = f"cuDNN {make(variant).lowering().kernel}"
    for training in (True, False):
        plan = engine.plan(layers.RNN(make(variant)), training, batch=BATCH)
        assert (plan.engine, plan.kernel) == ("cudnn", kernel)
        assert plan.reason.startswith("exact")
    asked = engine.plan(layers.RNN(make(variant), use_cudnn=True))
    assert asked == engine.Plan("cudnn", kernel, "use_cudnn=True")
    kept_off = engine.plan(layers.RNN(make(variant), use_cudnn=False))
    assert kept_off.engine == "fused"


@pytest.mark.parametrize("return_sequences", [True, False], ids=["sequences", "last"])
@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "holes"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("variant", SERVED)
def test_outputs_states_and_gradients_are_those_of_the_step_engine(
    variant, dtype, mask, go_backwards, return_sequences, kernel_calls
):
    """From initial states that are not zero, with an empty row in the mask."""
    case = Drawn(
        "on a GPU",
        dtype=dtype,
        training=True,
        batch=BATCH,
        steps=STEPS,
        features=FEATURES,
        return_sequences=return_sequences,
        go_backwards=go_backwards,
        zero_output_for_mask=go_backwards,
        pattern=mask,
    )
    found, expected = on_both(make(variant, 5), case, kernel_calls)
    test_lowering.compare(found, expected, TOLERANCE[dtype])


@pytest.mark.parametrize("variant", SERVED)
def test_at_the_sizes_of_a_model(variant, kernel_calls):
    """cuDNN chooses its way by size."""
    batch, steps, units = 32, 50, 128
    rates = {"leak": np.linspace(0.1, 1, units).tolist()}
    listed = isinstance(test_lowering.LOWERED[variant][1].get("leak"), list)
    cell = make(variant, units, **(rates if listed else {}))
    x = test_lowering.normal(batch, steps, 64)
    # Larger weights make the sequence chaotic: then no two ways to add agree.
    layer = test_lowering.built(
        cell, x, scale=0.05, return_sequences=True, return_state=True
    )
    states = test_lowering.first_states(cell, batch)
    mask = np.random.default_rng(5).random((batch, steps)) < 0.8
    expected = test_lowering.values(layer, x, states, mask, "step")
    found = test_lowering.values(layer, x, states, mask, "cudnn")
    assert kernel_calls[0]
    test_lowering.compare(found, expected, TOLERANCE["float32"])


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has float32 alone")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("variant", SERVED)
def test_half_precision(variant, dtype, kernel_calls):
    """Where it is as exact as in the equation; elsewhere the kernel is not taken."""
    layer = layers.RNN(make(variant, dtype=f"mixed_{dtype}"))
    refused = engine.refusal(layer, "cudnn")
    if not layer.cell.lowering().half:
        assert f"not exact enough in {dtype}" in refused
        return
    assert refused is None
    case = Drawn(
        "half",
        dtype=f"mixed_{dtype}",
        training=True,
        batch=BATCH,
        steps=STEPS,
        features=FEATURES,
        pattern=MASK,
    )
    found, expected = on_both(make(variant, 5), case, kernel_calls)
    test_lowering.compare(found, expected, case.tolerance)


@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("variant", SERVED)
def test_what_stands_in_masked_steps_is_not_read(variant, go_backwards, kernel_calls):
    """NaN there reaches neither outputs nor gradients."""
    x = test_lowering.normal(BATCH, STEPS, FEATURES)
    cell = make(variant)
    layer = test_lowering.built(
        cell, x, return_sequences=True, return_state=True, go_backwards=go_backwards
    )
    states = test_lowering.first_states(cell, BATCH)
    valid = HOLES[..., None]
    clean, dirty = np.where(valid, x, 0), np.where(valid, x, np.float32("nan"))
    expected = test_lowering.values(layer, clean, states, HOLES, "step")
    found = test_lowering.values(layer, dirty, states, HOLES, "cudnn")
    assert kernel_calls[0]
    test_lowering.compare(found, expected, TOLERANCE["float32"])
    assert np.all(found["gradient x"][~HOLES] == 0)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("mask", [None, HOLES], ids=["all", "holes"])
@pytest.mark.parametrize("name", ["lstm", "cifg", "gru", "simple_rnn", "irnn"])
def test_a_stack_is_one_call(name, mask, bidirectional, kernel_calls):
    """With the weights of all layers and directions where cuDNN reads them."""
    if BACKEND == "jax" and name not in ("lstm", "cifg"):
        pytest.skip("JAX has the LSTM alone")
    stack = layers.Stack(
        name,
        5,
        depth=3,
        bidirectional=bidirectional,
        return_sequences=True,
        return_state=True,
    )
    stack.build((BATCH, STEPS, FEATURES))
    randomize(stack)
    x = test_lowering.normal(BATCH, STEPS, FEATURES)
    sizes = enumerate(stack.state_size)
    states = [test_lowering.normal(BATCH, n, seed=k) for k, n in sizes]
    shapes = stack.compute_output_shape(x.shape)
    cotangents = [test_lowering.normal(*s, seed=20 + k) for k, s in enumerate(shapes)]

    def run(*way):
        def call(x, *states):
            with engine.force(*way):
                return stack(x, initial_state=list(states), mask=mask, training=True)

        variables = stack.trainable_variables
        found = testing.gradients(call, [x, *states], variables, cotangents)
        return dict(enumerate([*found[0], *found[1]]))

    expected = run("step")
    assert not kernel_calls[0]
    found = run("cudnn", True)
    assert kernel_calls[0] == 1
    test_lowering.compare(found, expected, TOLERANCE["float32"])


def test_a_model_trains_on_the_kernel(kernel_calls):
    model = keras.Sequential(
        [
            keras.layers.Masking(),
            layers.LSTM(8, use_cudnn=True, return_sequences=True),
            layers.CIFG(8, use_cudnn=True),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "mse")
    x = test_lowering.normal(64, 7, 3)
    x[::2, 4:] = 0
    y = x.sum(axis=(1, 2))[:, None]
    losses = model.fit(x, y, epochs=30, verbose=0).history["loss"]
    assert kernel_calls[0] >= 2
    assert losses[-1] < 0.5 * losses[0]
    with engine.force("step"):
        expected = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(
        model.predict(x, verbose=0), expected, rtol=1e-3, atol=1e-4
    )


@pytest.mark.skipif(BACKEND != "jax", reason="has all kernels")
@pytest.mark.parametrize("variant", [v for v in LOWERED if v not in SERVED])
def test_jax_has_the_lstm_alone(variant):
    kernel = make(variant).lowering().kernel
    layer = layers.RNN(make(variant))
    reason = f"JAX has cuDNN's LSTM alone, and this is its {kernel}"
    assert engine.refusal(layer, "cudnn") == reason
    assert engine.plan(layer).engine == "fused"
    layer = layers.RNN(make(variant), use_cudnn=True)
    with pytest.raises(ValueError, match=reason):
        layer(np.ones((2, STEPS, FEATURES), "float32"))


@pytest.mark.skipif(BACKEND != "jax", reason="has other precisions")
@pytest.mark.parametrize("dtype", ["float64", "mixed_float16", "mixed_bfloat16"])
def test_jax_has_float32_alone(dtype):
    layer = layers.RNN(cells.LSTMCell(3, dtype=dtype), dtype=dtype)
    assert "LSTM in float32 alone" in engine.refusal(layer, "cudnn")
    assert engine.plan(layer).engine == "fused"


def test_conforms(conforming):
    """With --everything all of them on JAX too, where each compiles for a minute."""
    testing.check_cell(catalogue.make(conforming))
