"""Sequences that are drawn: what is in them, and that it is what was asked for."""

import numpy as np
import pytest

from keras_rnnx.datasets import drawn

pytestmark = pytest.mark.any_backend

FUNCTIONS = ["adding", "copy_memory", "lorenz", "mackey_glass", "parity"]


@pytest.mark.parametrize("name", [*FUNCTIONS, "temporal_order"])
def test_a_generator_determines_them(name):
    draw = getattr(drawn, name)
    first, again, other = (draw(np.random.default_rng(k), 4, 20) for k in (1, 1, 2))
    for one, two, three in zip(first, again, other):
        np.testing.assert_array_equal(one, two)
        assert one.shape == three.shape and len(one) == 4
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("length", [1, 7])
def test_copy_memory_asks_for_what_it_has_shown(length):
    x, y = drawn.copy_memory(np.random.default_rng(0), 500, length, 5, 3)
    assert x.shape == y.shape == (500, length + 6)
    np.testing.assert_array_equal(x[:, :3], y[:, -3:])
    assert set(np.unique(x[:, :3])) == {1, 2, 3, 4, 5}
    # The mark is the only sign that it is time: the answer begins at the next step.
    assert np.all(x[:, length + 2] == 6) and np.all(x[:, length + 3 :] == 0)
    assert np.all(np.delete(x, length + 2, 1)[:, 3:] == 0)
    assert np.all(y[:, : length + 3] == 0)


def test_parity_turns_with_every_bit():
    x, y = drawn.parity(np.random.default_rng(0), 400, 9)
    assert set(np.unique(x)) == {0, 1} and x.shape == (400, 9, 1)
    np.testing.assert_array_equal(y, np.bitwise_xor.reduce(x[..., 0].astype(int), 1))
    assert abs(y.mean() - 0.5) < 0.1


@pytest.mark.parametrize(
    "relevant,places", [(2, [(10, 20), (40, 50)]), (3, [(10, 20), (33, 43), (66, 76)])]
)
def test_temporal_order_reads_off_its_class(relevant, places):
    x, y = drawn.temporal_order(np.random.default_rng(0), 300, 100, relevant)
    assert np.all(x.sum(-1) == 1)
    for symbols, label in zip(x.argmax(-1), y):
        found = np.flatnonzero(symbols < 2)
        assert len(found) == relevant
        assert all(low <= at < high for at, (low, high) in zip(found, places))
        assert int("".join(str(symbols[at]) for at in found), 2) == label
    assert set(y) == set(range(2**relevant))


def test_noise_follows_what_was_there():
    x = np.random.default_rng(1).random((40, 8, 3)).astype("float32")
    padded = drawn.noise_padded(np.random.default_rng(0), x, 108)
    np.testing.assert_array_equal(padded[:, :8], x)
    noise = padded[:, 8:]
    assert noise.shape == (40, 100, 3)
    assert abs(noise.mean()) < 0.05 and abs(noise.std() - 1) < 0.05


def test_lorenz_follows_its_equation():
    """Slopes by differences are those of the equation, up to the square of the step."""
    x, y = drawn.lorenz(np.random.default_rng(0), 5, 2_000, horizon=3)
    np.testing.assert_array_equal(x[:, 3:], y[:, :-3])
    points = x.astype("float64") * [8, 9, 8.6] + [0, 0, 23.5]
    slopes = (points[:, 2:] - points[:, :-2]) / 0.04
    a, b, c = np.moveaxis(points[:, 1:-1], -1, 0)
    expected = np.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], -1)
    error = np.abs(slopes - expected).mean() / np.abs(expected).mean()
    assert error < 0.02
    assert np.all(np.abs(x.mean((0, 1))) < 0.2) and np.all(
        np.abs(x.std((0, 1)) - 1) < 0.1
    )


@pytest.mark.parametrize("delay", [17, 23])
def test_mackey_glass_follows_its_equation(delay):
    x, y = drawn.mackey_glass(np.random.default_rng(0), 3, 800, horizon=7, delay=delay)
    np.testing.assert_array_equal(x[:, 7:], y[:, :-7])
    series = x[..., 0].astype("float64")
    slopes = (series[:, delay + 1 :] - series[:, delay - 1 : -2]) / 2
    now, delayed = series[:, delay:-1], series[:, : -delay - 1]
    expected = 0.2 * delayed / (1 + delayed**10) - 0.1 * now
    error = np.abs(slopes - expected).mean() / np.abs(expected).mean()
    # Of another delay it would be above 0.3.
    assert error < 0.08


@pytest.mark.parametrize("name", [*FUNCTIONS, "temporal_order"])
@pytest.mark.parametrize("size,length", [(0, 20), (2, 0), (2, 2.5), (True, 20)])
def test_refuses_what_is_no_number(name, size, length):
    with pytest.raises(ValueError, match="must be an integer of at least"):
        getattr(drawn, name)(np.random.default_rng(0), size, length)


def test_refuses_other_options():
    random = np.random.default_rng(0)
    with pytest.raises(ValueError, match="`relevant` is 2 or 3, received 4"):
        drawn.temporal_order(random, 2, 20, 4)
    with pytest.raises(ValueError, match="`length` must be an integer of at least 8"):
        drawn.noise_padded(random, np.zeros((1, 8, 1)), 5)
    with pytest.raises(ValueError, match="`horizon`"):
        drawn.lorenz(random, 2, 20, horizon=0)
    with pytest.raises(ValueError, match="`delay`"):
        drawn.mackey_glass(random, 2, 20, delay=0)
