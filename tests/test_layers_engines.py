"""Layers: an engine that is forced, the exactness of one, second derivatives."""

import catalogue
import keras
import numpy as np
import pytest
from keras import ops
from pairs import FEATURES, ROWS, STEPS, UNITS
from tensors import numpy, randomize

from keras_rnnx import cells, engine, layers


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, STEPS, FEATURES)).astype("float32")


def test_a_forced_engine_ends_with_the_block():
    layer = layers.GRU(3)
    with engine.force("step"):
        assert engine.plan(layer) == engine.Plan("step", "Keras' loop", "forced")
    assert engine.plan(layer).engine == catalogue.BEST


def test_float64_is_exact_in_the_engine_where_the_equation_is():
    class SoftsignCell(cells.Cell):
        states = ("h",)
        gates = ("a", "b")
        split = ("b",)

        def update(self, state, gate):
            b = gate.x.b * gate.u.b
            return cells.State(h=gate.a / (1 + b * b) + state.h / 2)

    from keras_rnnx.testing.conformance import CASES, _precision, _run

    cell = SoftsignCell(7)
    (case,) = (c for c in CASES if c.name == "checkpoint, holes, backwards, float64")
    with _precision("float64"):
        step, fused = (_run(cell, case, e, 0) for e in ("step", "fused"))
    for name, value in step.items():
        scale = max(1, np.max(np.abs(value)))
        assert np.max(np.abs(value - fused[name])) <= 1e-10 * scale, name


def test_second_derivatives(x):
    """Through the engines, as through Keras' loop."""
    layer = layers.GRU(UNITS, activation=ops.tanh)
    layer.build(x.shape)
    randomize(layer)
    found = {}
    for name in engine.ENGINES:
        if engine.refusal(layer, name) is None:
            with engine.force(name):
                found[name] = second(layer, x)
    assert {"fused", "step"} <= found.keys()
    np.testing.assert_allclose(found["fused"], found["step"], rtol=1e-3, atol=1e-4)


def second(layer, x):
    """Gradient of the squared input gradient, for the input."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(layer(x) ** 2)
            g = tf.reduce_sum(inner.gradient(y, x) ** 2)
        return numpy(outer.gradient(g, x))
    if backend == "jax":
        import jax

        def loss(x):
            with keras.StatelessScope():
                return (layer(x) ** 2).sum()

        return numpy(jax.grad(lambda x: (jax.grad(loss)(x) ** 2).sum())(x))
    import torch

    x = torch.tensor(x, requires_grad=True)
    (g,) = torch.autograd.grad((layer(x) ** 2).sum(), x, create_graph=True)
    return numpy(torch.autograd.grad((g**2).sum(), x)[0])
