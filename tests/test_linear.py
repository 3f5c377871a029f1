"""Linear recurrences: every way to compute one gives the numbers of a plain loop."""

import doctest
import importlib

import keras
import numpy as np
import pytest
from recurrences import (
    BACKEND,
    BATCH,
    EXACT,
    UNITS,
    compare,
    double,  # noqa: F401
    drawn,
    loop,
    loop_gradients,
)
from tensors import numpy

import keras_rnnx
from benchmarks import linear_recurrence as linear
from keras_rnnx import cells, engine, layers, testing
from keras_rnnx.engine import backends
from keras_rnnx.engine.scan.algorithms import WAYS, block_steps


@pytest.mark.parametrize("shape", [(6, 2, 2), (1, 1, 2), (6, 1, 2), (1, 2, 2)])
@pytest.mark.parametrize("number", ["real", "complex"])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_formula_for_gradients_is_that_of_finite_differences(
    shape, number, reverse
):
    *inputs, d = drawn(shape, 6, number=number, batch=2, units=2)

    def loss():
        return np.sum(d.conj() * loop(*inputs, reverse)).real

    for x, found in zip(inputs, loop_gradients(*inputs, d, reverse), strict=True):
        for i in np.ndindex(x.shape):
            for part in (1, 1j) if number == "complex" else (1,):
                value, losses = x[i], []
                for sign in (1, -1):
                    x[i] = value + sign * 1e-5 * part
                    losses.append(loss())
                x[i] = value
                slope = found[i].real if part == 1 else found[i].imag
                difference = (losses[0] - losses[1]) / 2e-5
                np.testing.assert_allclose(slope, difference, rtol=1e-6, atol=1e-8)


# One step; too few for blocks; a prime number, with steps left over; blocks alone.
@pytest.mark.cases(4)
@pytest.mark.parametrize(
    "way, steps",
    [
        *((way, steps) for way in WAYS for steps in (1, 13)),
        *(("blocked", steps) for steps in (3, 4, 24)),
        ("parallel", 8),
        (None, 5),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_equals_a_loop(way, steps, reverse):
    compare(drawn((steps, BATCH, UNITS), steps), reverse, way)


def test_the_blocks_of_these_tests():
    assert 13 % block_steps(13) and not 24 % block_steps(24)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "shape, reverse",
    [
        ((1, 1, UNITS), False),
        ((1, 1, UNITS), True),
        ((11, 1, UNITS), True),
        ((1, BATCH, UNITS), False),
    ],
)
def test_the_same_coefficients_at_all_steps_or_in_all_sequences(way, shape, reverse):
    compare(drawn(shape, 11), reverse, way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "shape, reverse",
    [((1, 1, UNITS), False), ((11, BATCH, UNITS), True), ((11, 1, UNITS), False)],
)
def test_complex_numbers(way, shape, reverse):
    compare(drawn(shape, 11, number="complex"), reverse, way)


def holes(steps):
    mask = np.random.default_rng(3).random((steps, BATCH, 1)) < 0.6
    mask[:2, 0] = mask[-2:, 1] = mask[:, 2] = False
    return mask


@pytest.mark.parametrize("number", ["real", "complex"])
@pytest.mark.parametrize("shape", [(9, BATCH, UNITS), (1, 1, UNITS)], ids=str)
def test_masked_steps_carry_the_states_on(number, shape):
    a, b, initial, d = drawn(shape, 9, number=number)
    mask = holes(9)
    # What stands there is not looked at.
    b = np.where(mask, b, np.nan)
    if len(a) > 1:
        a = np.where(mask, a, np.inf)
    n = 2 if number == "complex" else 1

    def parts(x):
        return [x.real, x.imag][:n]

    def run(*x):
        a, b, initial = ((x[i : i + n] if n > 1 else x[i]) for i in range(0, 3 * n, n))
        recurrence = (
            linear.complex_linear_recurrence
            if n > 1
            else (lambda *x: [linear.linear_recurrence(*x)])
        )
        return list(recurrence(*linear.masked(a, b, mask), initial))

    inputs = [part for x in (a, b, initial) for part in parts(x)]
    outputs, found = testing.gradients(run, inputs, [], parts(d))
    full = np.where(mask, a, 1), np.where(mask, b, 0), initial
    states = loop(*full)
    for x, y in zip(outputs, parts(states)):
        np.testing.assert_allclose(x, y, **EXACT)
    assert np.array_equal(states[:, 2], np.broadcast_to(initial[2], states[:, 2].shape))
    d_a, d_b, d_initial = loop_gradients(*full, d)
    d_a, d_b = np.where(mask, d_a, 0), np.where(mask, d_b, 0)
    if len(a) == 1:
        d_a = d_a.sum((0, 1), keepdims=True)
    expected = [part for x in (d_a, d_b, d_initial) for part in parts(x)]
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, **EXACT)


def test_a_mask_without_its_last_axis():
    a, b, _, _ = drawn((5, BATCH, UNITS), 5)
    for x, y in zip(
        linear.masked(a, b, holes(5)), linear.masked(a, b, holes(5)[..., 0])
    ):
        assert np.array_equal(numpy(x), y)


@pytest.mark.parametrize("way", [None, "blocked", "parallel"])
def test_no_steps_have_no_states(way):
    given = drawn((0, BATCH, UNITS), 0)
    states = linear.linear_recurrence(*given[:3], way=way)
    assert tuple(states.shape) == (0, BATCH, UNITS)


@pytest.mark.skipif(BACKEND != "torch", reason="torch tells what autograd holds")
@pytest.mark.parametrize("way", WAYS)
def test_coefficients_and_states_are_all_that_is_kept(way):
    torch = importlib.import_module("torch")
    a, b, initial, d = (torch.tensor(x) for x in drawn((20, BATCH, UNITS), 20))
    for x in (a, b, initial):
        x.requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: kept.append(x.untyped_storage().nbytes()) or x, lambda x: x
    ):
        states = linear.linear_recurrence(a, b, initial, way=way)
    assert sum(kept) == sum(x.untyped_storage().nbytes() for x in (a, states, initial))
    # And none of it is used up.
    first = torch.autograd.grad(states, (a, b, initial), d, retain_graph=True)
    again = torch.autograd.grad(states, (a, b, initial), d)
    assert all(torch.equal(x, y) for x, y in zip(first, again))


@pytest.mark.skipif(BACKEND != "torch", reason="others compile for every size")
def test_all_sizes():
    hypothesis = importlib.import_module("hypothesis")
    st = importlib.import_module("hypothesis.strategies")

    @hypothesis.settings(max_examples=100, deadline=None)
    @hypothesis.given(
        steps=st.integers(1, 70),
        batch=st.integers(1, 3),
        constant=st.tuples(st.booleans(), st.booleans()),
        reverse=st.booleans(),
        way=st.sampled_from([None, *WAYS]),
        number=st.sampled_from(["real", "complex"]),
        seed=st.integers(0, 99),
    )
    def check(steps, batch, constant, reverse, way, number, seed):
        sizes = [1 if c else n for c, n in zip(constant, (steps, batch))]
        given = drawn((*sizes, 2), steps, seed, number, batch, 2)
        compare(given, reverse, way, rtol=1e-10, atol=1e-11)

    check()


def test_the_way_that_is_taken(monkeypatch):
    taken = []
    for name, way in WAYS.items():

        def noted(*args, name=name, way=way):
            taken.append(name)
            return way(*args)

        monkeypatch.setitem(WAYS, name, noted)
    linear._function.cache_clear()
    for name in WAYS:
        monkeypatch.setattr(backends.current(), "linear_way", lambda *_, n=name: n)
        linear.linear_recurrence(*drawn((5, BATCH, UNITS), 5)[:3])
    linear._function.cache_clear()
    assert taken == list(WAYS)


def test_the_way_that_is_chosen():
    way = backends.current().linear_way
    large, small = way(2048, 16, 256), way(1000, 1, 64)
    assert large == "sequential"
    assert small == ("blocked" if BACKEND == "torch" else "sequential")
    if BACKEND == "tensorflow":
        assert way(None, None, 256) == "blocked"


def test_what_cannot_be_computed_is_told():
    a, b, initial, _ = drawn((5, BATCH, UNITS), 5)
    run = linear.linear_recurrence
    for wrong in (
        (a[:4], b, initial),
        (a[:, :2], b, initial),
        (a[..., :1], b, initial),
        (a, b, initial[:1]),
        (a, b, initial[None]),
        (a[0], b, initial),
        (a, b[:1], initial),
    ):
        with pytest.raises(
            ValueError, match=r"must be of shape.*Received shapes: a \("
        ):
            run(*wrong)
    with pytest.raises(ValueError, match="dtypes: a float32, b float64"):
        run(a.astype("float32"), b, initial)
    with pytest.raises(ValueError, match="one floating dtype"):
        run(*(x.astype("int32") for x in (a, b, initial)))
    with pytest.raises(ValueError, match="`way`.*'sequential'.*way='fast'"):
        run(a, b, initial, way="fast")
    with pytest.raises(ValueError, match="`b` must be a pair"):
        linear.complex_linear_recurrence((a, a), b, (initial, initial))
    with pytest.raises(ValueError, match="`a` must be a pair of tensors of one shape"):
        linear.complex_linear_recurrence((a[:1], a), (b, b), (initial, initial))


def test_the_examples_in_docstrings():
    names = {"keras": keras, "keras_rnnx": keras_rnnx, "np": np}
    failed, tried = doctest.testmod(linear, extraglobs=names)
    assert tried and not failed


@pytest.mark.parametrize("rates", [[0.0, 0.2, 0.2], [0.0, 0.0, 0.2]])
def test_zoneout_of_one_part_of_a_complex_state_is_no_scan(rates):
    """A scan multiplies by complex numbers, and the parts have a mask each."""
    layer = layers.RNN(cells.get("lru", 3, zoneout=rates, seed=1))
    layer.build((2, 5, 2))
    assert "separately" in engine.refusal(layer, "scan")
    x = np.random.default_rng(0).normal(size=(2, 5, 2)).astype("float32")
    found = numpy(layer(x))
    with engine.force("step"):
        expected = numpy(layer(x))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_scan_of_complex_numbers_is_left_to_where_it_is_faster():
    """On the CPU a loop over an LRU is faster on JAX; for real numbers it is not."""
    kinds = (layers.MinGRU, layers.LRU)
    found = {kind: engine.plan(kind(3), training=True) for kind in kinds}
    assert found[layers.MinGRU].engine == "scan"
    loop = BACKEND == "jax" and not backends.current().kernels()[0]
    assert found[layers.LRU].engine == ("fused" if loop else "scan")
    assert ("complex numbers" in found[layers.LRU].reason) == loop
