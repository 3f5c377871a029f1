"""Linear recurrences in half precision, over many steps, and beside logarithms."""

import keras
import numpy as np
import pytest
from recurrences import (
    computed,
    double,  # noqa: F401
    drawn,
    loop,
    loop_gradients,
)
from tensors import numpy

from benchmarks import linear_recurrence as linear
from keras_rnnx import testing
from keras_rnnx.engine.scan.algorithms import WAYS


@pytest.mark.parametrize("dtype, digits", [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_half_precision_is_rounded_once(dtype, digits):
    # Long memory: rounded at every step, the sums would stop growing.
    a, b, initial, d = drawn((400, 2, 3), 400, batch=2, units=3)
    a, b, d = 1 - 0.01 * np.abs(a), np.abs(b), np.abs(d) / 100
    initial = np.abs(initial)
    given = [
        numpy(
            keras.ops.cast(
                keras.ops.cast(keras.ops.convert_to_tensor(x), dtype), "float64"
            )
        )
        for x in (a, b, initial, d)
    ]

    def run(*x):
        states = linear.linear_recurrence(*(keras.ops.cast(t, dtype) for t in x))
        assert keras.backend.standardize_dtype(states.dtype) == dtype
        return [keras.ops.cast(states, "float64")]

    (states,), found = testing.gradients(run, given[:3], [], given[3:])
    # Half a digit of the result, and little else.
    np.testing.assert_allclose(states, loop(*given[:3]), rtol=1.01 * digits)
    # The states that gradients of `a` are made of were rounded too.
    for x, y in zip(found, loop_gradients(*given), strict=True):
        np.testing.assert_allclose(x, y, rtol=2.02 * digits)


@pytest.mark.parametrize("way", WAYS)
def test_extreme_gates_need_no_logarithms(way):
    """10,000 steps of a minGRU whose gates are open, shut, and anything between."""
    rng = np.random.default_rng(5)
    logits = rng.choice([-100, -30, -17, -8, 0, 8, 17, 30, 100], (10_000, 2, 6))
    # Whole stretches that keep nothing, that keep all, and that forget slowly.
    logits[2000:4000, :, 0], logits[2000:4000, :, 1] = 100, -100
    logits[:, 0, 2], logits[:, 0, 3], logits[:, 0, 4] = -7, -100, 100
    z = 1 / (1 + np.exp(-logits.astype("float64")))
    candidate = rng.normal(size=z.shape)
    given = [1 - z, z * candidate, rng.normal(size=(2, 6)), rng.normal(size=z.shape)]
    given = [x.astype("float32") for x in given]
    states, found = computed(*given, way=way)
    given = [x.astype("float64") for x in given]
    expected = [loop(*given[:3]), *loop_gradients(*given)]
    for x, y in zip([states, *found], expected, strict=True):
        assert x.dtype == "float32" and np.all(np.isfinite(x))
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5 * np.abs(y).max())


def test_logarithms_would_be_less_exact():
    rng = np.random.default_rng(6)
    logits = rng.choice([-100, -17, -8, 0, 8, 17, 100], (10_000, 2, 6)).astype(float)
    candidate = rng.uniform(0.1, 2, logits.shape)
    initial = rng.uniform(0.1, 1, (2, 6))
    a, z = 1 / (1 + np.exp(logits)), 1 / (1 + np.exp(-logits))
    expected = loop(a, z * candidate, initial)
    direct = linear.linear_recurrence(
        *(x.astype("float32") for x in (a, z * candidate, initial))
    )
    # The parallel form of minGRU, in the same precision.
    log_a, log_z = (-np.logaddexp(0, x).astype("float32") for x in (logits, -logits))
    total = np.cumsum(log_a, 0)
    terms = log_z + np.log(candidate).astype("float32") - total
    first = np.log(initial[None]).astype("float32")
    sums = np.logaddexp.accumulate(np.concatenate([first, terms]), 0)[1:]
    logarithmic = np.exp(total + sums)
    assert keras.backend.standardize_dtype(direct.dtype) == logarithmic.dtype
    errors = [np.max(np.abs(numpy(x) / expected - 1)) for x in (direct, logarithmic)]
    assert errors[0] < 1e-5 and errors[1] > 1e-3
