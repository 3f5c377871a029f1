"""Initializers of biases: how long each gate keeps a state, from the papers."""

import numpy as np
import oracles
import pytest
from initialized import FEATURES, UNITS, blocks, built
from tensors import numpy

from keras_rnnx import cells, initializers

KEEPING = oracles.KEEPING
OTHERS = sorted({row.name for row in cells.catalog()} - set(KEEPING))
# Their biases are no biases of gates, or they have none.
WITHOUT_BIAS = {"scrn", "fast_grnn"}


@pytest.mark.parametrize("name", KEEPING)
def test_chrono_gives_each_gate_what_it_is_to_have(name):
    cell = built(name, bias_initializer=initializers.Chrono(50, seed=3))
    found = blocks(cell, "bias")
    signs, steps = KEEPING[name], []
    for gate, bias in found.items():
        if name == "gru":
            assert not np.any(bias[1])  # the part that is added to the recurrent one
            bias = bias[0]
        if gate in signs:
            steps.append(np.exp(signs[gate] * bias))
            assert np.all((steps[-1] >= 1) & (steps[-1] <= 49 * (1 + 1e-5)))
            assert len(set(steps[-1])) == UNITS
        else:
            assert not np.any(bias)
    np.testing.assert_allclose(steps[0], steps[-1], rtol=1e-5)


def kept_share(name, **arguments):
    """What is left of a state after a step, for each unit: inputs of zero."""
    cell = built(name, recurrent_initializer="zeros", **arguments)
    none = np.zeros((1, FEATURES), "float32")
    low, high = (
        numpy(cell(none, [np.full((1, UNITS), v, "float32")])[0]) for v in (0, 1)
    )
    return (high - low)[0]


def test_a_highway_keeps_by_both_gates():
    chrono = initializers.Chrono(50, seed=3)
    cell = built("rhn", coupled=False, depth=1, bias_initializer=chrono)
    found = blocks(cell, "bias")
    np.testing.assert_array_equal(found["c1"], -found["t1"])
    steps = np.exp(found["c1"])
    assert np.all((steps >= 1) & (steps <= 49 * (1 + 1e-5)))
    arguments = {"coupled": False, "depth": 1}
    np.testing.assert_allclose(
        kept_share("rhn", bias_initializer=chrono, **arguments),
        1 - 1 / (1 + steps),
        rtol=1e-4,
    )
    # As a coupled one, unless told otherwise.
    expected = np.full(UNITS, oracles.sigmoid(2.0))
    for coupled in (True, False):
        share = kept_share("rhn", coupled=coupled, depth=1)
        np.testing.assert_allclose(share, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["min_lstm", "min_gru", "mgu", "trnn"])
@pytest.mark.parametrize("value", [-2.0, 0.0, 5.0])
def test_a_forget_bias_says_what_share_is_kept(name, value):
    share = kept_share(name, bias_initializer=initializers.ForgetBias(value))
    np.testing.assert_allclose(share, oracles.sigmoid(value), rtol=1e-4)


def test_chrono_of_a_gru_without_a_recurrent_bias():
    chrono = initializers.Chrono(50, seed=3)
    cell = built("gru", reset_after=False, bias_initializer=chrono)
    found = blocks(cell, "bias")
    assert np.all(found["z"] > 0) and not np.any(found["r"]) and not np.any(found["h"])


def test_chrono_is_uniform_in_steps_and_the_input_gate_has_the_same_draw():
    chrono = initializers.Chrono(101, seed=1)
    cell = built("lstm", 1000, recurrent_initializer="zeros", bias_initializer=chrono)
    bias = blocks(cell, "bias")
    np.testing.assert_array_equal(bias["i"], -bias["f"])
    counts, _ = np.histogram(np.exp(bias["f"]), bins=10, range=(1, 100))
    # Four standard deviations of a binomial count.
    assert np.all(np.abs(counts - 100) < 4 * np.sqrt(100 * 0.9))


@pytest.mark.parametrize("name", KEEPING)
def test_forget_bias_is_for_what_keeps_the_state(name):
    cell = built(name, bias_initializer=initializers.ForgetBias(2.5))
    signs = KEEPING[name]
    # A minLSTM weighs its two gates against each other.
    if 1 in signs.values() and name != "min_lstm":
        signs = {gate: sign for gate, sign in signs.items() if sign == 1}
    for gate, bias in blocks(cell, "bias").items():
        bias = bias[0] if name == "gru" else bias
        np.testing.assert_array_equal(bias, np.full(UNITS, 2.5 * signs.get(gate, 0)))
    if name == "gru":
        assert not np.any(numpy(cell.bias)[1])


@pytest.mark.parametrize(
    "make", [lambda: initializers.Chrono(9), initializers.ForgetBias]
)
@pytest.mark.parametrize("name", OTHERS)
def test_cells_without_such_gates_refuse(name, make):
    said = "no bias" if name in WITHOUT_BIAS else "but \\w+Cell has none.*LeakRates"
    with pytest.raises(ValueError, match=said):
        biased = name not in WITHOUT_BIAS
        built(name, units=8, use_bias=biased, bias_initializer=make())
