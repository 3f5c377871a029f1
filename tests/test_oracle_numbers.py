"""The oracles against closed forms, and single steps worked by hand."""

from math import exp, tanh

import numpy as np
import oracles
import pytest
from oracles import LAYOUTS, ORACLES, blocks, sigmoid

BATCH, TIME, FEATURES, UNITS = 2, 5, 3, 4
X = np.random.default_rng(5).normal(size=(BATCH, TIME, FEATURES))
BEFORE = np.concatenate([np.zeros_like(X[:, :1]), X[:, :-1]], 1)


def random(name):
    layout = LAYOUTS[name]
    return layout.weights(FEATURES, UNITS), layout.first_states(BATCH, UNITS)


def given(name):
    """All gates at all steps, weights and first states, for gates of inputs alone."""
    layout = LAYOUTS[name]
    weights, states = random(name)
    x = X if layout.window == 1 else np.concatenate([BEFORE, X], -1)
    a = vars(blocks(x @ weights["kernel"], layout.kernel))
    for gate, value in vars(blocks(weights["bias"], layout.bias)).items():
        a[gate] = a[gate] + value
    return blocks(np.concatenate(list(a.values()), -1), " ".join(a)), weights, states


def unrolled(decay, written, first):
    """c_t = decay_t c_(t-1) + written_t by products of the decays, time on axis 1."""
    found = []
    for t in range(decay.shape[1]):
        c = first * np.prod(decay[:, : t + 1], axis=1)
        for k in range(t + 1):
            c = c + written[:, k] * np.prod(decay[:, k + 1 : t + 1], axis=1)
        found.append(c)
    return np.stack(found, 1)


def check(name, weights, states, outputs, *others):
    """Outputs, and at the last step the further states."""
    found, last = ORACLES[name](X, weights, states)
    np.testing.assert_allclose(found, outputs, rtol=1e-10, atol=1e-12)
    for state, other in zip(last[1:], others, strict=True):
        np.testing.assert_allclose(state, other[:, -1], rtol=1e-10, atol=1e-12)


def test_sru_without_peepholes():
    a, weights, (h, c) = given("sru")
    weights |= {"peephole_f": np.zeros(UNITS), "peephole_r": np.zeros(UNITS)}
    f, r = sigmoid(a.f), sigmoid(a.r)
    cells = unrolled(f, (1 - f) * a.c, c)
    check("sru", weights, [h, c], r * cells + (1 - r) * a.s, cells)
    scaled, _ = oracles.sru(alpha=3.0)(X, weights, [h, c])
    np.testing.assert_allclose(scaled, r * cells + 3 * (1 - r) * a.s)


def test_qrnn():
    a, weights, (h, c) = given("qrnn")
    f = sigmoid(a.f)
    cells = unrolled(f, (1 - f) * np.tanh(a.z), c)
    check("qrnn", weights, [h, c], sigmoid(a.o) * cells, cells)


def test_strongly_typed():
    a, weights, (h,) = given("trnn")
    f = sigmoid(a.f)
    check("trnn", weights, [h], unrolled(f, (1 - f) * a.z, h))
    a, weights, (h,) = given("tgru")
    check("tgru", weights, [h], unrolled(sigmoid(a.f), a.z * np.tanh(a.o), h))
    a, weights, (h, c) = given("tlstm")
    f = sigmoid(a.f)
    cells = unrolled(f, (1 - f) * a.z, c)
    check("tlstm", weights, [h, c], cells * np.tanh(a.o), cells)


def test_minimal_gru_and_lstm():
    def g(a):
        return np.where(a < 0, sigmoid(a), a + 0.5)

    a, weights, (h,) = given("min_gru")
    z = sigmoid(a.z)
    check("min_gru", weights, [h], unrolled(1 - z, z * g(a.h), h))
    a, weights, (h,) = given("min_lstm")
    f, i = sigmoid(a.f), sigmoid(a.i)
    check("min_lstm", weights, [h], unrolled(f / (f + i), i / (f + i) * g(a.h), h))


def test_a_linear_recurrent_unit_is_a_sum_of_powers():
    weights, (h, re, im) = random("lru")
    B_re, B_im, D = np.split(weights["kernel"], 3, -1)
    C_re, C_im = np.split(weights["recurrent_kernel"], 2, -1)
    radius, angle = np.exp(-np.exp(weights["nu"])), np.exp(weights["theta"])

    def state(t, part):
        """cos for the real part, sin for the imaginary one, of a rotation."""
        whole = radius ** (t + 1) * part(re, im, (t + 1) * angle)
        for k in range(t + 1):
            n = t - k
            u = np.sqrt(1 - radius**2) * (X[:, k] @ B_re)
            v = np.sqrt(1 - radius**2) * (X[:, k] @ B_im)
            whole = whole + radius**n * part(u, v, n * angle)
        return whole

    def real(u, v, phase):
        return u * np.cos(phase) - v * np.sin(phase)

    def imaginary(u, v, phase):
        return u * np.sin(phase) + v * np.cos(phase)

    reals = np.stack([state(t, real) for t in range(TIME)], 1)
    imaginaries = np.stack([state(t, imaginary) for t in range(TIME)], 1)
    outputs = reals @ C_re - imaginaries @ C_im + X @ D + weights["bias"]
    check("lru", weights, [h, re, im], outputs, reals, imaginaries)


def test_gates_that_do_not_see_the_state_make_averages():
    weights, (h, c) = random("ran")
    weights["recurrent_kernel"][:] = 0
    W, b = blocks(weights["kernel"], "i f c"), blocks(weights["bias"], "i f")
    i, f = sigmoid(X @ W.i + b.i), sigmoid(X @ W.f + b.f)
    cells = unrolled(f, i * (X @ W.c), c)
    check("ran", weights, [h, c], np.tanh(cells), cells)


def test_the_context_of_scrn_is_a_moving_average():
    weights, (h, s) = random("scrn")
    weights["recurrent_kernel"][:, :UNITS] = 0
    slow, fast = np.split(X @ weights["kernel"], 2, -1)
    context = unrolled(np.full_like(slow, 0.95), 0.05 * slow, s)
    P = weights["recurrent_kernel"][:, UNITS:]
    check("scrn", weights, [h, s], sigmoid(context @ P + fast), context)


def test_cfn_without_inputs_goes_through_tanh_and_its_gate():
    weights, (h,) = random("cfn")
    weights["kernel"][:] = weights["recurrent_kernel"][:] = 0
    weights["bias"][:UNITS] = 50
    _, [last] = oracles.cfn(X, weights, [h])
    for _ in range(TIME):
        h = np.tanh(h)
    np.testing.assert_allclose(last, h)


def step(name, x, states, kernel, recurrent_kernel=None, bias=None, **vectors):
    """The states of one unit after one step."""
    weights = {"kernel": np.array([kernel])}
    if recurrent_kernel is not None:
        weights["recurrent_kernel"] = np.array([recurrent_kernel])
    if bias is not None:
        weights["bias"] = np.array(bias)
    weights |= {name: np.array([value]) for name, value in vectors.items()}
    states = [np.array([[state]]) for state in states]
    _, last = ORACLES[name](np.array([[[x]]]), weights, states)
    return [state.item() for state in last]


def logit(p):
    return np.log(p / (1 - p))


def test_steps_of_oscillators_by_hand():
    # z = 0.5 + 0.042 (tanh(1.2) - 2.7 * 0.3 - 4.7 * 0.5), where the argument is
    # 2 * 0.4 + 0.3 * 1 + 0.5 * 0.6 - 0.2
    y, z = step("cornn", 0.4, (0.3, 0.5), [2.0], [1.0, 0.6], [-0.2])
    assert z == pytest.approx(0.5 + 0.042 * (0.8336546070 - 0.81 - 2.35))
    assert y == pytest.approx(0.3 + 0.042 * 0.4022935)
    # z = 0.5 - 0.19 * 0.75 (tanh(1) + 30.65 * 0.3), where the argument is
    # 0.3 * 2 + 0.5 - 0.1
    y, z = step("unicornn", 0.5, (0.3, 0.5), [1.0], None, [-0.1], w=2.0, c=logit(0.75))
    assert z == pytest.approx(0.5 - 0.1425 * (0.7615941560 + 9.195))
    assert y == pytest.approx(0.3 + 0.1425 * (0.5 - 0.1425 * 9.956594156))
    # Steps of 0.25 for z and 0.8 for y; tanh(0.5) and, of the new z, tanh(0.2245...).
    bias = [logit(0.25), logit(0.8), 0.2, 0.1]
    y, z = step(
        "lem", 1.0, (0.0, 0.4), [0.0, 0.0, 0.3, -0.2], [9.0, 9.0, 9.0, 0.5], bias
    )
    assert z == pytest.approx(0.75 * 0.4 + 0.25 * 0.4621171573)
    assert y == pytest.approx(0.8 * tanh(0.5 * 0.41552929 - 0.2 + 0.1))


def test_steps_of_gated_networks_by_hand():
    # p = 2 * 0.5 + 0.1, q = 0.3 * 2
    (h,) = step("atr", 0.5, (0.3,), [2.0], [2.0], [0.1])
    i, f = 1 / (1 + exp(-1.7)), 1 / (1 + exp(-0.5))
    assert h == pytest.approx(i * 1.1 + f * 0.3)
    # k = 0.25
    (h,) = step("star", 1.0, (0.6,), [0.0, 0.7], [0.0], [logit(0.25), 0.3])
    assert h == pytest.approx(tanh(0.75 * 0.6 + 0.25 * tanh(1.0)))
    # r = 1 + tanh(0.5), z = 0.8
    (h,) = step(
        "brc", 1.0, (0.2,), [0.3, 0.0, 0.4], None, [0.1, logit(0.8)],
        recurrent_r=0.5, recurrent_z=0.0,
    )  # fmt: skip
    assert h == pytest.approx(0.8 * 0.2 + 0.2 * tanh(0.4 + (1 + tanh(0.5)) * 0.2))
    # z = tanh(0.5), u = sigmoid(0.2 * 3 - 0.4 z + 0.1)
    (h,) = step("minimal_rnn", 1.0, (0.2,), [0.3], [3.0, -0.4], [0.2, 0.1])
    z = tanh(0.5)
    u = 1 / (1 + exp(0.4 * z - 0.7))
    assert h == pytest.approx(u * 0.2 + (1 - u) * z)
    # z = 0.25, and r = 0.5 stands before the product
    (h,) = step(
        "mut1", 1.0, (0.6,), [0.0, 0.0, 0.8], [0.0, 2.0], [logit(0.25), 0.0, 0.1]
    )
    assert h == pytest.approx(0.25 * tanh(0.6 + tanh(0.8) + 0.1) + 0.75 * 0.6)
    # A gate that sees tanh(h): z = sigmoid(2 tanh(0.6))
    (h,) = step("mut3", 1.0, (0.6,), [0.0, 0.0, 0.8], [2.0, 0.0, 2.0], [0.0, 0.0, 0.1])
    z = 1 / (1 + exp(-2 * tanh(0.6)))
    assert h == pytest.approx(z * tanh(0.6 + 0.8 + 0.1) + (1 - z) * 0.6)


def test_a_step_of_the_nas_cell_by_hand():
    kernel = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    recurrent = [0.0, 1.0, 0.0, 3.0, 0.0, -1.0, 0.0, 1.0]
    h, c = step("nas", 1.0, (0.5, 0.3), kernel, recurrent, [0.0] * 8)

    def s(a):
        return 1 / (1 + exp(-a))

    l1 = tanh(s(0.1) * 0.7)
    l2 = tanh(s(0.3) + 0.4 * 1.5)
    l3 = tanh(tanh(0.5) * s(0.1))
    l4 = s(tanh(0.7) + s(1.3))
    assert c == pytest.approx(tanh(l1 + 0.3) * l2)
    assert h == pytest.approx(tanh(tanh(l1 + 0.3) * l2 * tanh(l3 + l4)))


def test_steps_with_peepholes_by_hand():
    # i = sigmoid(2 * 0.5), f = sigmoid(-0.5); the output gate sees the new cell.
    h, c = step(
        "peephole_lstm", 1.0, (0.0, 0.5), [0.0, 0.0, 0.8, 0.0], [0.0] * 4, [0.0] * 4,
        peephole_i=2.0, peephole_f=-1.0, peephole_o=3.0,
    )  # fmt: skip
    new = 0.5 / (1 + exp(0.5)) + tanh(0.8) / (1 + exp(-1))
    assert c == pytest.approx(new)
    assert h == pytest.approx(tanh(new) / (1 + exp(-3 * new)))
    # f = sigmoid(2 * 0.5) and r = sigmoid(-0.5): both see the old cell.
    h, c = step(
        "sru", 1.0, (0.0, 0.5), [0.3, 0.0, 0.0, 0.7], None, [0.0, 0.0],
        peephole_f=2.0, peephole_r=-1.0,
    )  # fmt: skip
    f, r = 1 / (1 + exp(-1)), 1 / (1 + exp(0.5))
    assert c == pytest.approx(f * 0.5 + (1 - f) * 0.3)
    assert h == pytest.approx(r * c + (1 - r) * 0.7)
