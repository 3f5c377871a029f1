"""Identities between the oracles, where one cell is another with some weights."""

import numpy as np
import oracles
from oracles import LAYOUTS, ORACLES, blocks, sigmoid

BATCH, TIME, FEATURES, UNITS = 2, 5, 3, 4
X = np.random.default_rng(5).normal(size=(BATCH, TIME, FEATURES))
OPEN = 50.0  # sigmoid(50) is 1 in float64


def given(name):
    layout = LAYOUTS[name]
    return layout.weights(FEATURES, UNITS), layout.first_states(BATCH, UNITS)


def same(found, expected):
    for a, b in zip([found[0], *found[1]], [expected[0], *expected[1]]):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def regrouped(weights, name, change):
    """The three weights with other blocks: `change` gets those of one weight by gate
    and returns them in a new order."""
    layout = LAYOUTS[name]
    return weights | {
        weight: np.concatenate(
            change(blocks(weights[weight], getattr(layout, weight))), -1
        )
        for weight in ("kernel", "recurrent_kernel", "bias")
    }


def test_an_lstm_with_peepholes_of_zero():
    weights, states = given("lstm")
    zero = dict.fromkeys(LAYOUTS["peephole_lstm"].vectors, np.zeros(UNITS))
    expected = oracles.lstm(X, weights, states)
    same(oracles.peephole_lstm(X, weights | zero, states), expected)


def test_an_lstm_with_a_projection_of_one():
    weights, states = given("lstm")
    projected = weights | {"projection_kernel": np.eye(UNITS)}
    same(oracles.lstmp(X, projected, states), oracles.lstm(X, weights, states))


def test_a_projection_turns_what_is_put_out():
    weights, (r, c) = given("lstm")
    turn = np.linalg.qr(weights["recurrent_kernel"][:, :UNITS])[0]
    back = weights["recurrent_kernel"]
    weights["recurrent_kernel"] = turn.T @ back
    found, _ = oracles.lstmp(X, weights | {"projection_kernel": turn}, [r @ turn, c])
    weights["recurrent_kernel"] = back
    np.testing.assert_allclose(found, oracles.lstm(X, weights, [r, c])[0] @ turn)


def test_a_coupled_lstm_is_one_whose_input_gate_mirrors_the_forget_gate():
    weights, states = given("cifg")
    mirrored = regrouped(weights, "cifg", lambda w: [-w.f, w.f, w.c, w.o])
    same(oracles.cifg(X, weights, states), oracles.lstm(X, mirrored, states))


def test_a_multiplicative_lstm_with_factors_of_one():
    weights, states = given("multiplicative_lstm")
    x = np.concatenate([X, np.ones_like(X[:, :, :1])], -1)
    weights["kernel"] = np.pad(weights["kernel"], ((0, 1), (0, 0)))
    weights["kernel"][:, :UNITS] = np.eye(4)[:, -1:]
    weights["recurrent_kernel"][:, :UNITS] = np.eye(UNITS)
    plain = {
        name: value if name == "bias" else value[:, UNITS:]
        for name, value in weights.items()
    }
    expected = oracles.lstm(x, plain, states)
    same(oracles.multiplicative_lstm(x, weights, states), expected)


def test_the_stabilizer_of_slstm_changes_no_output():
    weights, (h, c, n, m) = given("slstm")
    W, U, b = (
        blocks(weights[k], "i f z o") for k in ("kernel", "recurrent_kernel", "bias")
    )
    found, last = oracles.slstm(X, weights, [h, c, n, m])
    c, n = c * np.exp(m), n * np.exp(m)
    largest = np.exp(m)
    for t in range(TIME):
        i, f, z, o = (
            X[:, t] @ getattr(W, g) + h @ getattr(U, g) + getattr(b, g) for g in "ifzo"
        )
        c = sigmoid(f) * c + np.exp(i) * np.tanh(z)
        n = sigmoid(f) * n + np.exp(i)
        largest = np.maximum(sigmoid(f) * largest, np.exp(i))
        h = sigmoid(o) * c / n
        np.testing.assert_allclose(found[:, t], h)
    same((h, last), (h, [h, c / largest, n / largest, np.log(largest)]))


def test_mgu2_is_mgu_without_inputs_and_bias_in_the_gate():
    weights, states = given("mgu2")
    wide = weights | {
        name: np.concatenate([np.zeros_like(weights[name]), weights[name]], -1)
        for name in ("kernel", "bias")
    }
    same(oracles.mgu2(X, weights, states), oracles.mgu(X, wide, states))


def test_mut2_is_a_gru_with_the_update_gate_mirrored():
    weights, states = given("mut2")
    mirrored = regrouped(weights, "mut2", lambda w: [-w.z, w.r, w.h])
    same(oracles.mut2(X, weights, states), oracles.gru_v3(X, mirrored, states))


def test_the_mutants_agree_where_their_differences_are_weighted_by_zero():
    weights, states = given("mut3")
    weights["recurrent_kernel"][:, :UNITS] = 0
    second = oracles.mut2(X, weights, states)
    same(oracles.mut3(X, weights, states), second)
    # To first order tanh(x) is x.
    weights["kernel"][:, 2 * UNITS :] *= 1e-5
    second = oracles.mut2(X, weights, states)
    weights["recurrent_kernel"] = weights["recurrent_kernel"][:, UNITS:]
    same(oracles.mut1(X, weights, states), second)


def test_a_diagonal_matrix_is_a_vector():
    weights, states = given("ind_rnn")
    diagonal = weights | {"recurrent_kernel": np.diag(weights["recurrent_kernel"])}
    expected = oracles.simple(oracles.relu)(X, diagonal, states)
    same(oracles.ind_rnn()(X, weights, states), expected)
    weights, states = given("brc")
    matrices = [np.diag(weights[f"recurrent_{gate}"]) for gate in "rz"]
    full = weights | {"recurrent_kernel": np.concatenate(matrices, -1)}
    same(oracles.brc(X, weights, states), oracles.nbrc(X, full, states))


def test_fast_grnn_with_its_numbers_at_their_limits():
    weights, states = given("fast_grnn")
    weights |= {"zeta": np.array([OPEN]), "nu": np.array([-OPEN])}
    tied = {
        "kernel": np.tile(weights["kernel"], 2),
        "recurrent_kernel": np.tile(weights["recurrent_kernel"], 2),
        "bias": np.concatenate([weights["bias_gate"], weights["bias_update"]]),
    }
    expected = oracles.ugrnn(X, tied, states)
    same(oracles.fast_grnn()(X, weights, states), expected)


def test_li_gru_with_its_gate_shut_is_a_relu_network():
    weights, states = given("li_gru")
    weights["bias"][:UNITS] = -2000
    with np.errstate(over="ignore"):
        found = ORACLES["li_gru"](X, weights, states)
    plain = {name: value[..., UNITS:] for name, value in weights.items()}
    same(found, oracles.simple(oracles.relu)(X, plain, states))


def test_rhn_coupled_is_rhn_with_mirrored_gates_and_at_depth_one_ugrnn():
    def with_carry(value):
        parts = np.split(value, value.shape[-1] // UNITS, -1)
        pairs = zip(parts[::2], parts[1::2])
        return np.concatenate([block for h, t in pairs for block in (h, t, -t)], -1)

    weights, states = given("rhn")
    uncoupled = {name: with_carry(value) for name, value in weights.items()}
    expected = oracles.rhn()(X, weights, states)
    same(oracles.rhn(coupled=False)(X, uncoupled, states), expected)
    shallow = {name: value[..., : 2 * UNITS] for name, value in weights.items()}
    turned = {
        name: np.concatenate([-value[..., UNITS:], value[..., :UNITS]], -1)
        for name, value in shallow.items()
    }
    expected = oracles.ugrnn(X, turned, states)
    same(oracles.rhn(depth=1)(X, shallow, states), expected)


def test_a_clockwork_network_with_one_module_is_a_simple_one():
    weights, (h, _) = given("clockwork_rnn")
    outputs, last = oracles.clockwork((1,))(X, weights, [h, 0 * h])
    same((outputs, last[:1]), oracles.simple()(X, weights, [h]))
    np.testing.assert_array_equal(last[1], 0)


def test_slow_modules_wait_and_do_not_see_fast_ones():
    weights, (h, _) = given("clockwork_rnn")
    run = oracles.clockwork((1, 3))
    outputs, _ = run(X, weights, [h, 0 * h])
    fast, slow = np.split(outputs, 2, -1)
    np.testing.assert_array_equal(slow[:, 0], slow[:, 2])
    assert (slow[:, 2] != slow[:, 3]).all()
    assert (fast[:, 1:] != fast[:, :-1]).all()
    other = h + np.array([1, 1, 0, 0])
    np.testing.assert_array_equal(run(X, weights, [other, 0 * h])[0][..., 2:], slow)
    other = h + np.array([0, 0, 1, 1])
    assert (run(X, weights, [other, 0 * h])[0][:, 0, :2] != fast[:, 0]).any()
    # A count that starts at two: the slow module runs first at the second step.
    slow = run(X, weights, [h, 0 * h + 2])[0][..., 2:]
    np.testing.assert_array_equal(slow[:, 0], h[:, 2:])
    assert (slow[:, 1] != h[:, 2:]).all()


def test_antisymmetric_networks():
    weights, (h,) = given("antisymmetric_rnn")
    M = weights["recurrent_kernel"]
    # A symmetric matrix is none.
    symmetric = weights | {"recurrent_kernel": M + M.T}
    found, _ = oracles.antisymmetric(0.3, 0.0)(X, symmetric, [h])
    steps = np.tanh(X @ weights["kernel"] + weights["bias"])
    np.testing.assert_allclose(found, h[:, None] + 0.3 * np.cumsum(steps, 1))
    # Without inputs and diffusion the first-order flow keeps the norm.
    still = weights | {"bias": 0 * weights["bias"]}
    _, [last] = oracles.antisymmetric(1e-6, 0.0)(0 * X, still, [1e-3 * h])
    norms = [np.sum(s**2, -1) for s in (1e-3 * h, last)]
    np.testing.assert_allclose(*norms, rtol=1e-9)
    # The gate held open.
    gated = weights | {
        name: np.concatenate([weights[name], 0 * weights[name]], -1)
        for name in ("kernel", "bias")
    }
    gated["bias"][UNITS:] = OPEN
    expected = oracles.antisymmetric()(X, weights, [h])
    same(oracles.gated_antisymmetric()(X, gated, [h]), expected)
