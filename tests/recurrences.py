"""Linear recurrences as plain loops, with their gradients; for `test_linear*.py`."""

import contextlib
import importlib

import keras
import numpy as np
import pytest

from benchmarks import linear_recurrence as linear
from keras_rnnx import testing

BACKEND = keras.backend.backend()
BATCH, UNITS = 3, 4
EXACT = {"rtol": 1e-12, "atol": 1e-13}


@pytest.fixture(autouse=True)
def double():
    """JAX computes in float64 only where it is told to."""
    jax = BACKEND == "jax" and importlib.import_module("jax")
    with jax.enable_x64(True) if jax else contextlib.nullcontext():
        yield


def loop(a, b, initial, reverse=False):
    """The definition."""
    a, h, states = np.broadcast_to(a, b.shape), initial, np.empty_like(b)
    for t in range(len(b))[:: -1 if reverse else 1]:
        h = states[t] = a[t] * h + b[t]
    return states


def loop_gradients(a, b, initial, d, reverse=False):
    """Gradients of the real part of `sum(conj(d) * states)`."""
    if reverse:
        a = a if len(a) == 1 else a[::-1]
        d_a, g, d_initial = loop_gradients(a, b[::-1], initial, d[::-1])
        return d_a if len(a) == 1 else d_a[::-1], g[::-1], d_initial
    full = np.broadcast_to(a, b.shape).conj()
    before = np.concatenate([initial[None], loop(a, b, initial)[:-1]])
    g = np.zeros_like(b)
    for t in reversed(range(len(b))):
        g[t] = d[t] if t == len(b) - 1 else d[t] + full[t + 1] * g[t + 1]
    axes = tuple(i for i in (0, 1) if a.shape[i] < b.shape[i])
    return np.sum(g * before.conj(), axes, keepdims=True), g, full[0] * g[0]


def drawn(shape, steps, seed=0, number="real", batch=BATCH, units=UNITS):
    """Coefficients of `shape`, what is added, first states and cotangents."""
    rng = np.random.default_rng([seed, steps, *shape])
    a = rng.uniform(-1, 1, shape)
    rest = [rng.normal(size=(steps, batch, units)) for _ in range(2)]
    initial = rng.normal(size=(batch, units))
    if number == "real":
        return a, rest[0], initial, rest[1]
    a = np.abs(a) * np.exp(1j * rng.uniform(0, 2 * np.pi, shape))
    rest = [x + 1j * rng.normal(size=x.shape) for x in rest]
    return a, rest[0], initial + 1j * rng.normal(size=initial.shape), rest[1]


def computed(a, b, initial, d, reverse=False, way=None):
    """States and gradients of ours, as `loop` and `loop_gradients` give them."""
    if not np.iscomplexobj(b):
        outputs, found = testing.gradients(
            lambda *x: [linear.linear_recurrence(*x, reverse, way)],
            [a, b, initial],
            [],
            [d],
        )
        return outputs[0], found

    def run(*x):
        pairs = x[:2], x[2:4], x[4:]
        return list(linear.complex_linear_recurrence(*pairs, reverse, way))

    parts = [part for x in (a, b, initial) for part in (x.real, x.imag)]
    outputs, found = testing.gradients(run, parts, [], [d.real, d.imag])
    joined = [x + 1j * y for x, y in zip(found[::2], found[1::2])]
    return outputs[0] + 1j * outputs[1], joined


def compare(given, reverse=False, way=None, **tolerance):
    states, found = computed(*given, reverse, way)
    tolerance = tolerance or EXACT
    np.testing.assert_allclose(states, loop(*given[:3], reverse), **tolerance)
    expected = loop_gradients(*given, reverse)
    for name, x, y in zip(("a", "b", "initial"), found, expected, strict=True):
        np.testing.assert_allclose(x, y, err_msg=f"gradient of {name}", **tolerance)
