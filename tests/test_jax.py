"""JAX: the one kernel of cuDNN it has, with JAX's own reference in its place."""

import catalogue
import jax
import jax_lstm
import keras
import numpy as np
import pytest
from tensors import randomize

from keras_rnnx import cells, engine, layers, testing

BATCH, STEPS, FEATURES, UNITS = 4, 6, 3, 5
MASK = np.array(
    [[1, 1, 0, 1, 0, 0], [0, 0, 1, 1, 1, 1], [0] * 6, [0, 1, 0, 0, 0, 0]], bool
)


@pytest.fixture
def kernel_calls(monkeypatch):
    return jax_lstm.installed(monkeypatch)


def values(name, engine_name, masked, go_backwards, return_sequences):
    """Outputs, states and all gradients, from the same random weights and states."""
    layer = layers.RNN(
        cells.get(name, units=UNITS),
        return_sequences=return_sequences,
        return_state=True,
        go_backwards=go_backwards,
    )
    layer.build((BATCH, STEPS, FEATURES))
    rng = np.random.default_rng(4)
    randomize(layer, rng)
    x = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    states = [rng.normal(size=(BATCH, UNITS)).astype("float32") for _ in "hc"]
    shape = (BATCH, STEPS, UNITS) if return_sequences else (BATCH, UNITS)
    cotangents = [rng.normal(size=s) for s in (shape, (BATCH, UNITS), (BATCH, UNITS))]
    mask = MASK if masked else None

    def call(x, *states):
        with engine.force(engine_name):
            return layer(x, initial_state=list(states), mask=mask, training=True)

    results, found = testing.gradients(
        call, [x, *states], layer.trainable_variables, cotangents
    )
    assert len(found) == 3 + 3
    return [*results, *found]


@pytest.mark.parametrize("return_sequences", [True, False], ids=["sequences", "last"])
@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("name", ["lstm", "cifg"])
def test_the_kernel_is_given_weights_states_and_lengths_in_its_order(
    name, masked, go_backwards, return_sequences, kernel_calls
):
    case = masked, go_backwards, return_sequences
    expected = values(name, "step", *case)
    assert not kernel_calls
    found = values(name, "cudnn", *case)
    assert len(kernel_calls) == 1
    for ours, theirs in zip(found, expected, strict=True):
        scale = max(1, np.max(np.abs(theirs)))
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * scale, rtol=0)


def test_a_model_trains_on_the_kernel(kernel_calls):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    model = keras.Sequential(
        [layers.LSTM(UNITS, use_cudnn=True), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.02), "mse")
    y = x.sum(axis=(1, 2))[:, None]
    losses = model.fit(x, y, epochs=40, verbose=0).history["loss"]
    assert kernel_calls
    assert losses[-1] < 0.5 * losses[0]
    assert model.predict(x, verbose=0).shape == (BATCH, 1)


def test_the_plan_where_there_is_a_gpu(kernel_calls):
    for layer, reason in (
        (layers.LSTM(3), "exact"),
        (layers.CIFG(3), "exact: input gate tied to the forget gate"),
    ):
        assert engine.plan(layer) == engine.Plan("cudnn", "cuDNN lstm", reason)
    for layer, reason in (
        (layers.GRU(3), "JAX has cuDNN's LSTM alone, and this is its gru"),
        (layers.SimpleRNN(3), "JAX has cuDNN's LSTM alone, and this is its rnn_tanh"),
        (layers.LSTM(3, dtype="float64"), "float32 alone, but this is float64"),
        (layers.LSTM(3, dtype="mixed_bfloat16"), "alone, but this is bfloat16"),
        (layers.LSTM(3, use_cudnn=False), "use_cudnn=False"),
        (layers.LSTM(3, recurrent_dropout=0.1), "recurrent_dropout=0.1 draws"),
    ):
        plan = engine.plan(layer)
        assert plan.engine == "fused" and reason in plan.reason
    with pytest.raises(ValueError, match="GRUCell on the jax .*LSTM alone"):
        layers.GRU(3, use_cudnn=True)(np.ones((2, 4, 3), "float32"))


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="there is a GPU")
def test_without_a_gpu_there_is_no_kernel():
    for variant in catalogue.VARIANTS:
        layer = layers.RNN(catalogue.make(variant))
        assert engine.refusal(layer, "native") == "jax has no fused kernels on the CPU"
        assert engine.refusal(layer, "cudnn") == "jax finds no GPU"
    with pytest.raises(ValueError, match="LSTMCell on the jax .*finds no GPU"):
        layers.LSTM(3, use_cudnn=True)(np.ones((2, 4, 3), "float32"))
