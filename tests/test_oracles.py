"""The oracles against what is known of them without a cell of ours."""

import itertools

import numpy as np
import pytest
from oracles import LAYOUTS, ORACLES

from keras_rnnx import cells

BATCH, TIME, FEATURES, UNITS = 8, 6, 3, 4


def normal(*shape, seed=5):
    return np.random.default_rng(seed).normal(size=shape)


X = normal(BATCH, TIME, FEATURES)


def given(name, **changes):
    """Random weights of an oracle, some replaced, and random first states."""
    layout = LAYOUTS[name]
    weights = layout.weights(FEATURES, UNITS)
    if name == "gru":
        weights["bias"] = normal(2, 3 * UNITS)
    if name == "lstmp":
        weights["projection_kernel"] = normal(UNITS, UNITS)
    states = layout.first_states(BATCH, UNITS)
    if name == "clockwork_rnn":
        states[1] = np.zeros((BATCH, UNITS))
    return weights | changes, states


def run(name, weights, states):
    outputs, last = ORACLES[name](X, weights, states)
    return np.concatenate([outputs, *(state[:, None] for state in last)], 1)


def same(found, expected):
    for a, b in zip([found[0], *found[1]], [expected[0], *expected[1]]):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_every_registered_cell_has_an_oracle_and_a_layout():
    ours = {row.name for row in cells.catalog() if row.cls.__module__[:4] == "kera"}
    assert ours <= set(ORACLES)
    assert set(LAYOUTS) == set(ORACLES)


@pytest.mark.parametrize("name", ORACLES)
def test_no_two_gates_can_be_swapped(name):
    weights, states = given(name)
    expected = run(name, weights, states)
    swapped = []
    for weight in ("kernel", "recurrent_kernel", "bias"):
        gates = getattr(LAYOUTS[name], weight)
        count = len(gates.split()) if gates else 1
        for i, j in itertools.combinations(range(count), 2):
            order = list(range(count))
            order[i], order[j] = j, i
            parts = np.split(weights[weight], count, axis=-1)
            value = np.concatenate([parts[k] for k in order], axis=-1)
            swapped.append(weights | {weight: value})
    for a, b in itertools.combinations(LAYOUTS[name].vectors, 2):
        swapped.append(weights | {a: weights[b], b: weights[a]})
    for other in swapped:
        assert np.abs(run(name, other, states) - expected).max() > 1e-4


@pytest.mark.parametrize("name", ORACLES)
def test_every_weight_and_every_state_matters(name):
    weights, states = given(name)
    expected = run(name, weights, states)
    for weight, value in weights.items():
        for part in np.ndindex(1, value.shape[-1]):
            changed = value.copy()
            changed[..., part[1]] += 0.1
            found = run(name, weights | {weight: changed}, states)
            assert np.abs(found - expected).max() > 1e-7, (weight, part)
    unread = {"lru": 1, "qrnn": 1, "sru": 1, "tlstm": 1}  # outputs, not fed back
    for k in range(unread.get(name, 0), len(states)):
        other = [s + (i == k) for i, s in enumerate(states)]
        assert np.abs(run(name, weights, other) - expected).max() > 1e-7


@pytest.mark.parametrize("name", ORACLES)
def test_float64_and_a_sequence_in_two_parts(name):
    weights, states = given(name)
    single = {name: value.astype("float32") for name, value in weights.items()}
    outputs, _ = ORACLES[name](X.astype("float32"), single, states)
    assert outputs.dtype == "float64"
    if LAYOUTS[name].window > 1:
        states = [*states, normal(BATCH, 1, FEATURES, seed=6)]
    whole, last = ORACLES[name](X, weights, states)
    first, between = ORACLES[name](X[:, :2], weights, states)
    second, end = ORACLES[name](X[:, 2:], weights, between)
    same((np.concatenate([first, second], 1), end), (whole, last))


@pytest.mark.parametrize("name", ("qrnn", "tgru", "tlstm"))
def test_the_window_starts_with_zeros_and_holds_the_older_input_first(name):
    weights, states = given(name)
    zeros = np.zeros((BATCH, 1, FEATURES))
    outputs, last = ORACLES[name](X, weights, states)
    padded, ends = ORACLES[name](X, weights, [*states, zeros])
    same((outputs, last), (padded, ends[:-1]))
    np.testing.assert_array_equal(ends[-1], X[:, -1:])
    # With the rows of the newer input at zero, the last input changes nothing yet.
    weights["kernel"][FEATURES:] = 0
    outputs, _ = ORACLES[name](X, weights, states)
    other = X.copy()
    other[:, -1] += 1
    same((outputs, []), (ORACLES[name](other, weights, states)[0], []))
    other[:, -2] += 1
    assert not np.allclose(outputs, ORACLES[name](other, weights, states)[0])
