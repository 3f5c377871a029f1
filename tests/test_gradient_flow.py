"""The penalty of Pascanu et al., held to its definition."""

import keras
import numpy as np
import pytest
from oracles import sigmoid
from tensors import numpy, randomize

from keras_rnnx import cells, engine, layers
from keras_rnnx.regularizers import GradientFlow, PerGate, Sum
from keras_rnnx.testing.gradients import gradients

UNITS, BATCH, STEPS, FEATURES = 4, 3, 6, 2
RATE = 0.7


def penalty(cotangents_after, derivatives):
    """Omega: cotangents `(time, batch, units)`, derivatives of h_(k+1) for h_k."""
    total = 0.0
    for after, jacobians in zip(cotangents_after, derivatives):
        for g, jacobian in zip(after, jacobians):
            ratio = np.linalg.norm(g @ jacobian) / np.linalg.norm(g)
            total += (ratio - 1) ** 2 / BATCH
    return RATE * total


def simple(a, h, u):
    """Derivative of tanh(a) for h, where a holds h @ u."""
    return (1 - np.tanh(a) ** 2)[:, None] * u.T


def leaky(a, h, u):
    return 0.3 * simple(a, h, u) + 0.7 * np.eye(UNITS)


def ugrnn(a, h, u):
    g, candidate = sigmoid(a[:UNITS]), np.tanh(a[UNITS:])
    of_gate = (h - candidate) * g * (1 - g)
    of_candidate = (1 - g) * (1 - candidate**2)
    through = of_gate[:, None] * u[:, :UNITS].T + of_candidate[:, None] * u[:, UNITS:].T
    return through + np.diag(g)


KINDS = {
    "simple_rnn": ({}, simple, lambda a, h: np.tanh(a)),
    "leaky_rnn": ({"leak": 0.3}, leaky, lambda a, h: 0.7 * h + 0.3 * np.tanh(a)),
    "ugrnn": (
        {},
        ugrnn,
        lambda a, h: (
            sigmoid(a[:, :UNITS]) * h
            + (1 - sigmoid(a[:, :UNITS])) * np.tanh(a[:, UNITS:])
        ),
    ),
}


@pytest.mark.parametrize("checkpoint", [None, 4])
@pytest.mark.parametrize("name", KINDS)
def test_the_immediate_derivative_is_added_to_that_of_the_loss(name, checkpoint):
    arguments, derivative, advance = KINDS[name]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    cotangent = rng.normal(size=(BATCH, STEPS, UNITS))
    found = {}
    for regularizer in (None, GradientFlow(RATE)):
        cell = cells.get(name, UNITS, recurrent_regularizer=regularizer, **arguments)
        layer = layers.RNN(cell, return_sequences=True, checkpoint=checkpoint)
        layer.build(x.shape)
        randomize(layer, seed=1)
        weights = [numpy(w) for w in layer.get_weights()]
        with engine.force("fused"):
            _, grads = gradients(
                lambda x, layer=layer: [layer(x, training=True)],
                [x],
                layer.trainable_variables,
                [cotangent],
            )
        found[bool(regularizer)] = grads
    # Nothing but the recurrent kernel's gradient changes.
    for k in (0, 1, 3):
        np.testing.assert_allclose(found[True][k], found[False][k], atol=1e-6)

    w, u, b = (np.asarray(weight, "float64") for weight in weights)
    h, before, sums = np.zeros((BATCH, UNITS)), [], []
    for t in range(STEPS):
        a = x[:, t] @ w + h @ u + b
        before.append(h)
        sums.append(a)
        h = advance(a, h)
    after, g = [], np.zeros((BATCH, UNITS))
    for t in reversed(range(STEPS)):
        g = g + cotangent[:, t]
        after.insert(0, g)
        jacobians = [derivative(a, h, u) for a, h in zip(sums[t], before[t])]
        g = np.stack([row @ jacobian for row, jacobian in zip(g, jacobians)])

    def omega(u):
        # States and gradients stay as they are: the immediate derivative.
        pairs = zip(sums, before)
        jacobians = [[derivative(*row, u) for row in zip(*pair)] for pair in pairs]
        return penalty(after, jacobians)

    expected, step = np.zeros_like(u), 1e-6
    for index in np.ndindex(*u.shape):
        moved = np.zeros_like(u)
        moved[index] = step
        expected[index] = (omega(u + moved) - omega(u - moved)) / (2 * step)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found[True][2] - found[False][2], expected, atol=2e-5)


@pytest.mark.any_backend
@pytest.mark.parametrize("rate, least, most", [(0.0, -0.05, 0.05), (1.0, 0.2, 0.6)])
def test_it_lengthens_gradients_that_vanish(rate, least, most):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 30, 3)).astype("float32")
    regularizer = GradientFlow(rate) if rate else None
    layer = layers.SimpleRNN(10, recurrent_regularizer=regularizer)
    model = keras.Sequential([keras.Input((30, 3)), layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01, clipnorm=1.0), "mse")
    # The same on all backends.
    model.set_weights([rng.normal(0, 0.1, w.shape) for w in model.get_weights()])

    def reach():
        u = numpy(layer.cell.recurrent_kernel)
        return np.abs(np.linalg.eigvals(u)).max()

    before = reach()
    # The last input: the task itself asks for no memory.
    model.fit(x, x[:, -1, :1], epochs=60, verbose=0, shuffle=False)
    assert least < reach() - before < most


def test_it_chooses_the_engine_that_has_the_gradients():
    layer = layers.SimpleRNN(4, recurrent_regularizer=GradientFlow())
    assert engine.plan(layer).engine == "fused"
    assert "GradientFlow" in engine.refusal(layer, "step")
    assert engine.refusal(layer, "step", training=False) is None
    both = Sum(GradientFlow(0.5), keras.regularizers.L2(0.1))
    assert layers.SimpleRNN(4, recurrent_regularizer=both).cell.gradient_flow == 0.5
    config = layers.SimpleRNN.from_config(layer.get_config())
    assert config.recurrent_regularizer.rate == 1.0


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda r: layers.LSTM(3, recurrent_regularizer=r), "the states h, c, not one"),
        (
            lambda r: layers.GRU(3, reset_after=False, recurrent_regularizer=r),
            "gate 'h' of GRUCell multiplies in the middle",
        ),
        (
            lambda r: layers.SimpleRNN(3, kernel_regularizer=r),
            "gradients do not flow from step to step through kernel",
        ),
        (
            lambda r: layers.SimpleRNN(
                3, recurrent_regularizer=r, dtype="mixed_float16"
            ),
            "in float16",
        ),
    ],
)
def test_where_it_does_not_fit_it_says_so(make, message):
    with pytest.raises(ValueError, match=message):
        make(GradientFlow())(np.ones((1, 2, 3), "float32"))
    with pytest.raises(ValueError, match="greater than 0, received -1"):
        GradientFlow(-1)


@pytest.mark.parametrize("rate", ["4", None, float("inf"), float("nan"), True])
def test_a_rate_is_a_number(rate):
    with pytest.raises(ValueError, match="`rate`, expected a finite number"):
        GradientFlow(rate)


@pytest.mark.parametrize("given", [GradientFlow(), Sum(GradientFlow(), "l2")])
def test_where_it_would_have_no_effect_it_says_so(given):
    x = np.ones((1, 2, 3), "float32")
    for one in (given, {"h": given}):
        with pytest.raises(ValueError, match="PerGate cannot hold it"):
            PerGate(one)
    plain = cells.SimpleRNNCell(3)
    stacked = layers.RNN([plain, cells.SimpleRNNCell(3, recurrent_regularizer=given)])
    with pytest.raises(ValueError, match="GradientFlow.* as its only cell"):
        stacked(x, training=True)
    assert stacked(x).shape == (1, 3)
    elsewhere = keras.layers.SimpleRNN(3, recurrent_regularizer=given)
    elsewhere(x)
    with pytest.raises(ValueError, match="has no effect elsewhere"):
        elsewhere.losses  # noqa: B018
    with pytest.raises(ValueError, match="has no effect elsewhere"):
        layers.SimpleRNN(3, activity_regularizer=given)(x)


def test_a_scaled_loss_is_refused_by_the_global_policy_too():
    layer = layers.SimpleRNN(3, recurrent_regularizer=GradientFlow(), dtype="float32")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        with pytest.raises(ValueError, match="in float16 the loss is scaled"):
            layer.build((1, 2, 3))
    finally:
        keras.config.set_dtype_policy(before)


def test_a_cell_with_the_penalty_is_not_stepped_by_another_loop_in_training():
    cell = cells.SimpleRNNCell(3, recurrent_regularizer=GradientFlow())
    layer = keras.layers.RNN(cell)
    layer(np.ones((1, 2, 3), "float32"))
    with pytest.raises(ValueError, match="as its only cell"):
        layer(np.ones((1, 2, 3), "float32"), training=True)
