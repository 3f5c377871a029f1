"""Models run one step at a time give what they give for whole sequences."""

import keras
import numpy as np
import pytest
from tensors import numpy

import keras_rnnx
from keras_rnnx import layers


def dense(*inner):
    return keras.Sequential([keras.Input((None, 3)), *inner, keras.layers.Dense(2)])


def embedded():
    inner = [layers.GRU(4, return_sequences=True), layers.QRNN(4)]
    tokens = keras.layers.Embedding(7, 3, mask_zero=True)
    return keras.Sequential([keras.Input((None,)), tokens, *inner])


def graph():
    """Two inputs that are added, one of no steps, two outputs, an inner model."""
    first, second = keras.Input((None, 4), name="a"), keras.Input((None, 4), name="b")
    fixed = keras.Input((2,), name="c")
    x = keras.layers.Add()([first, keras.layers.Dense(4)(second)])
    x = keras.layers.LayerNormalization()(x)
    inner = keras.Sequential(
        [keras.Input((None, 4)), layers.LEM(4, return_sequences=True)]
    )
    x = keras.layers.Concatenate()([inner(x), x])
    by_step = keras.layers.TimeDistributed(keras.layers.Dense(3))(x)
    last = layers.LSTM(5, initial_state_trainable=True)(x)
    last = keras.layers.Concatenate()([last, fixed])
    return keras.Model(
        {"a": first, "b": second, "c": fixed},
        [by_step, keras.layers.Dense(2)(keras.layers.Reshape((7,))(last))],
    )


MODELS = {
    "kernel": lambda: dense(layers.LSTM(4, return_sequences=True)),
    "learned start": lambda: dense(
        layers.SRU(4, initial_state_trainable=True, initial_state_initializer="ones")
    ),
    "stack": lambda: dense(
        layers.Stack("lstm", 3, depth=2, connection="highway", return_sequences=True)
    ),
    "linear": lambda: dense(
        layers.Stack("lru", 3, depth=2, connection="glu", return_sequences=True)
    ),
    "gated feedback": lambda: dense(layers.Stack("gru", [4, 3], gated_feedback=True)),
    "window": lambda: dense(layers.QRNN(4, window=3, return_sequences=True)),
    "normalized": lambda: dense(
        keras.layers.BatchNormalization(), layers.LSTM(4, layer_norm=True, zoneout=0.1)
    ),
    "masked": lambda: dense(
        keras.layers.Masking(),
        layers.LSTM(3, return_sequences=True),
        layers.Stack("gru", 3, depth=2, connection="residual", return_sequences=True),
    ),
    "zeros where masked": lambda: dense(
        keras.layers.Masking(),
        layers.MinGRU(
            3,
            return_sequences=True,
            zero_output_for_mask=True,
            initial_state_trainable=True,
            initial_state_initializer="ones",
        ),
    ),
    "of Keras": lambda: dense(
        keras.layers.GRU(4, return_sequences=True),
        keras.layers.SimpleRNN(3, return_sequences=True),
        keras.layers.RNN([keras.layers.LSTMCell(3), keras.layers.GRUCell(4)]),
    ),
    "embedded": embedded,
}


def sequences(model, steps):
    random = np.random.default_rng(0)
    if len(model.inputs[0].shape) == 2:
        x = random.integers(0, 7, (2, steps))
        x[0, :2] = 0
        return x
    x = random.normal(size=(2, steps, 3)).astype("float32")
    x[0, [0, 3]] = 0
    return x


# What stands around a step is the same on all backends.
CHOSEN = MODELS if keras.backend.backend() == "torch" else ["kernel", "masked"]


@pytest.mark.parametrize("name", CHOSEN)
def test_steps_give_what_the_sequence_gives(name):
    keras.utils.set_random_seed(1)
    model = MODELS[name]()
    x = sequences(model, 6)
    stream = keras_rnnx.models.stepper(model, batch_size=2)
    states, shown = stream.init(), []
    for t in range(6):
        y, states = stream.step(x[:, t], states)
        shown.append(numpy(y))
    whole = numpy(model(x))
    close = {"rtol": 1e-5, "atol": 1e-6}
    if whole.ndim == 3:
        np.testing.assert_allclose(np.stack(shown, 1), whole, **close)
        return
    np.testing.assert_allclose(shown[-1], whole, **close)
    np.testing.assert_allclose(shown[2], numpy(model(x[:, :3])), **close)


def test_graphs_of_any_shape():
    keras.utils.set_random_seed(1)
    model, random = graph(), np.random.default_rng(0)
    x = {k: random.normal(size=(1, 5, 4)).astype("float32") for k in "ab"}
    fixed = random.normal(size=(1, 2)).astype("float32")
    stream = keras_rnnx.models.stepper(model)
    states, outputs = stream.init(), []
    for t in range(5):
        given = {k: v[:, t] for k, v in x.items()} | {"c": fixed}
        found, states = stream.step(given, states)
        outputs.append(numpy(found[0]))
    by_step, last = model(x | {"c": fixed})
    np.testing.assert_allclose(np.stack(outputs, 1), numpy(by_step), rtol=1e-5)
    np.testing.assert_allclose(numpy(found[1]), numpy(last), rtol=1e-5, atol=1e-6)
    assert model.layers[0].output is not None, "the model's own graph is as it was"


def test_weights_are_those_of_the_model_and_streams_are_apart():
    model = dense(layers.LSTM(4))
    stream = keras_rnnx.models.stepper(model)
    x = np.ones((1, 3), "float32")
    first = stream.init()
    y, after = stream.step(x, first)
    again, _ = stream.step(x, first)
    np.testing.assert_array_equal(numpy(y), numpy(again))
    stream.step(x, after)
    model.set_weights([2 * w for w in model.get_weights()])
    changed, _ = stream.step(x, first)
    np.testing.assert_allclose(
        numpy(changed), numpy(model(x[:, None])), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (
            lambda: keras.layers.Bidirectional(layers.GRU(3), name="both"),
            "'both' .* reads forward alone",
        ),
        (lambda: layers.GRU(3, go_backwards=True, name="back"), "'back' .* forward"),
        (lambda: keras.layers.Conv1D(3, 2, name="conv"), "'conv' .*TimeDistributed"),
        (
            lambda: keras.layers.LayerNormalization(axis=[1, 2], name="norm"),
            "'norm' .*axis=\\[1, 2\\]",
        ),
        (
            lambda: layers.GRU(3, batch_norm=True, batch_norm_steps=3, name="gru"),
            "'gru' .*batch_norm=True",
        ),
        (
            lambda: layers.GRU(3, dropout=0.5, monte_carlo=True, name="gru"),
            "'gru' .*monte_carlo",
        ),
    ],
    ids=["directions", "backwards", "convolution", "axis", "batch_norm", "masks"],
)
def test_layers_that_need_other_steps_are_refused(inner, message):
    model = keras.Sequential([keras.Input((4, 3)), inner()])
    if not isinstance(model.layers[0], (keras.layers.RNN, keras.layers.Bidirectional)):
        model.add(layers.GRU(2))
    with pytest.raises(ValueError, match=message):
        keras_rnnx.models.stepper(model)


def test_models_that_have_no_steps_are_refused():
    with pytest.raises(ValueError, match="no recurrent layers"):
        keras_rnnx.models.stepper(dense())
    inputs, state = keras.Input((None, 3)), keras.Input((4,))
    given = keras.Model([inputs, state], layers.GRU(4)(inputs, initial_state=[state]))
    with pytest.raises(ValueError, match="first states are given in the call"):
        keras_rnnx.models.stepper(given)
    pooled = keras.ops.mean(layers.GRU(4, return_sequences=True)(inputs), axis=1)
    with pytest.raises(ValueError, match="Use the layer for it"):
        keras_rnnx.models.stepper(keras.Model(inputs, pooled))
    with pytest.raises(ValueError, match="`batch_size` must be a positive"):
        keras_rnnx.models.stepper(dense(layers.GRU(4)), batch_size=0)


def test_steps_of_wrong_shapes_are_refused():
    stream = keras_rnnx.models.stepper(dense(layers.GRU(4)))
    states = stream.init()
    with pytest.raises(ValueError, match=r"one step, of shape \(1, 3\)"):
        stream.step(np.ones((1, 5, 3), "float32"), states)
    with pytest.raises(ValueError, match="1 input.s. and 1 states, received 1 and 0"):
        stream.step(np.ones((1, 3), "float32"), [])
