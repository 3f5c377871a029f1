"""Masks and normalization: each as its paper says it, in NumPy, and on every engine."""

import catalogue
import keras
import numpy as np
import pytest
from methods import BATCH, FEATURES, METHODS, STEPS, UNITS, made
from oracles import columns, sigmoid
from tensors import numpy, randomize

from keras_rnnx import cells, engine, layers
from keras_rnnx.testing.cases import Case
from keras_rnnx.testing.conformance import _compare, _precision, _run

EPSILON = 1e-5


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")


def normalized(a):
    middle = a.mean(-1, keepdims=True)
    return (a - middle) / np.sqrt(a.var(-1, keepdims=True) + EPSILON)


class Oracle:
    """The cells with everything that can be put into them, from the papers.

    `m(name, t)` is a mask at a step, 1 without it; `keep(state, t)` is where zoneout
    keeps the old state; `ln` and its weights are those of layer normalization.
    """

    def __init__(self, layer, expected=False):
        cell = layer.cell
        self.w = {v.name: numpy(v) for v in cell.weights}
        drawn = getattr(layer, "drawn", None) or {}
        self.masks = {k: numpy(v) for k, v in drawn.items()}
        self.norm = cell.layer_norm
        self.rates = dict(zip(cell.states, cell.zoneout_rates))
        self.expected = expected
        for name in ("kernel", "recurrent_kernel"):
            if name in self.masks:
                self.w[name] = self.w[name] * self.masks[name]

    def m(self, name, t):
        mask = self.masks.get(name, 1.0)
        return mask[:, t] if np.ndim(mask) == 3 else mask

    def zone(self, state, t, old, new):
        if self.expected:
            return self.rates[state] * old + (1 - self.rates[state]) * new
        if f"zoneout {state}" not in self.masks:
            return new
        return np.where(self.masks[f"zoneout {state}"][:, t], old, new)

    def parts(self, x_t, h, t):
        """Wx and Uh, normalized and scaled where asked for, without biases."""
        wx = (x_t * self.m("inputs", t)) @ self.w["kernel"]
        uh = (h * self.m("recurrent", t)) @ self.w["recurrent_kernel"]
        return wx, uh

    def output(self, c):
        if not self.norm:
            return c
        return normalized(c) * self.w["state_scale"] + self.w["state_offset"]

    def lstm(self, x):
        h, c = np.zeros((2, BATCH, UNITS))
        for t in range(STEPS):
            wx, uh = self.parts(x[:, t], h, t)
            if self.norm:
                wx = normalized(wx) * self.w["kernel_scale"]
                uh = normalized(uh) * self.w["recurrent_scale"]
            i, f, g, o = np.split(wx + uh + self.w["bias"], 4, -1)
            written = sigmoid(i) * np.tanh(g) * self.m("update", t)
            new_c = sigmoid(f) * c + written
            new_h = sigmoid(o) * np.tanh(self.output(new_c))
            h, c = self.zone("h", t, h, new_h), self.zone("c", t, c, new_c)
            yield h

    def lstmp(self, x):
        r, c = np.zeros((BATCH, UNITS // 2)), np.zeros((BATCH, UNITS))
        for t in range(STEPS):
            wx, uh = self.parts(x[:, t], r, t)
            if self.norm:
                wx = normalized(wx) * self.w["kernel_scale"]
                uh = normalized(uh) * self.w["recurrent_scale"]
            i, f, g, o = np.split(wx + uh + self.w["bias"], 4, -1)
            written = sigmoid(i) * np.tanh(g) * self.m("update", t)
            new_c = sigmoid(f) * c + written
            new_m = sigmoid(o) * np.tanh(self.output(new_c))
            r = self.zone("r", t, r, new_m @ self.w["projection_kernel"])
            c = self.zone("c", t, c, new_c)
            yield r

    def gru(self, x):
        h = np.zeros((BATCH, UNITS))
        b, b_r = self.w["bias"]
        n = 2 * UNITS
        for t in range(STEPS):
            wx, uh = self.parts(x[:, t], h, t)
            if self.norm:
                wx = [normalized(wx[:, :n]), normalized(wx[:, n:])]
                uh = [normalized(uh[:, :n]), normalized(uh[:, n:])]
                wx = np.concatenate(wx, -1) * self.w["kernel_scale"]
                uh = np.concatenate(uh, -1) * self.w["recurrent_scale"]
            wx, uh = np.split(wx + b, 3, -1), np.split(uh + b_r, 3, -1)
            z, r = sigmoid(wx[0] + uh[0]), sigmoid(wx[1] + uh[1])
            candidate = np.tanh(wx[2] + r * uh[2]) * self.m("update", t)
            h = self.zone("h", t, h, z * h + (1 - z) * candidate)
            yield h

    def mgu(self, x):
        h = np.zeros((BATCH, UNITS))
        w = columns(self.w, 2)
        scale = [np.split(self.w[f"{k}_scale"], 2) for k in ("kernel", "recurrent")]
        ln = normalized
        for t in range(STEPS):
            x_t = x[:, t]
            wx = [ln(x_t @ w["kernel"][k]) * scale[0][k] + w["bias"][k] for k in (0, 1)]
            f = sigmoid(wx[0] + ln(h @ w["recurrent_kernel"][0]) * scale[1][0])
            uh = ln((f * h) @ w["recurrent_kernel"][1]) * scale[1][1]
            h = (1 - f) * h + f * np.tanh(wx[1] + uh)
            yield h

    def leaky_rnn(self, x):
        h = np.zeros((BATCH, UNITS))
        for t in range(STEPS):
            wx, uh = self.parts(x[:, t], h, t)
            if self.norm:
                wx = normalized(wx) * self.w["kernel_scale"]
                uh = normalized(uh) * self.w["recurrent_scale"]
            new = np.tanh(wx + uh + self.w["bias"]) * self.m("update", t)
            h = self.zone("h", t, h, 0.7 * h + 0.3 * new)
            yield h


ARGUMENTS = {"leaky_rnn": {"leak": 0.3}}


@pytest.mark.parametrize("name", ["lstm", "gru", "leaky_rnn", "lstmp"])
@pytest.mark.parametrize("method", METHODS)
def test_training_is_what_the_paper_says_with_the_same_masks(
    name, method, x, monkeypatch
):
    arguments = ARGUMENTS.get(name, {}) | METHODS[method]
    layer = made(name, monkeypatch, seed=3, **arguments)
    for way in engine.ENGINES:
        if engine.refusal(layer, way):
            continue
        with engine.force(way):
            found = numpy(layer(x, training=True)[0])
        expected = np.stack(list(getattr(Oracle(layer), name)(x)), 1)
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("name", ["lstm", "gru", "leaky_rnn", "lstmp"])
def test_inference_is_deterministic_and_zoneout_its_expected_value(name, x):
    arguments = ARGUMENTS.get(name, {}) | METHODS["all"]
    if name in ("lstm", "lstmp"):
        arguments = arguments | {"zoneout": [0.05, 0.5]}
    layer = made(name, **arguments)
    expected = np.stack(list(getattr(Oracle(layer, expected=True), name)(x)), 1)
    for _ in range(2):
        np.testing.assert_allclose(numpy(layer(x)[0]), expected, atol=2e-6)


def test_biases_of_some_gates_are_added_to_those(x):
    layer = made("multiplicative_lstm", layer_norm=True)
    w = {v.name: numpy(v) for v in layer.cell.weights}
    h, c = np.zeros((2, BATCH, UNITS))
    kernels = [np.split(w[k], 5, -1) for k in ("kernel", "recurrent_kernel")]
    scales = [np.split(w[k], 5) for k in ("kernel_scale", "recurrent_scale")]
    biases = [0.0, *np.split(w["bias"], 4)]
    found = numpy(layer(x)[0])
    for t in range(STEPS):
        wx, uh = (
            lambda v, k, part=part: normalized(v @ kernels[part][k]) * scales[part][k]
            for part in (0, 1)
        )
        m = wx(x[:, t], 0) * uh(h, 0)
        i, f, g, o = (wx(x[:, t], k) + uh(m, k) + biases[k] for k in range(1, 5))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        shown = normalized(c) * w["state_scale"] + w["state_offset"]
        h = sigmoid(o) * np.tanh(shown)
        np.testing.assert_allclose(found[:, t], h, atol=2e-6)


class PartlyBiasedCell(cells.Cell):
    """All kinds of gates that `NormalizedRecurrence` takes, not all with a bias."""

    states = ("h",)
    gates = ("z", "a", "g", "b")
    split = ("a", "b")
    biases = ("g", "b")
    bias_part = "recurrent"

    def update(self, state, gate):
        z = keras.ops.sigmoid(gate.z)
        new = keras.ops.tanh(gate.x.a * gate.u.a + gate.g + gate.x.b * gate.u.b)
        return cells.State(h=z * state.h + (1 - z) * gate.drop(new))


def test_a_bias_of_a_product_stays_with_it_behind_a_normalization(x):
    layer = layers.RNN(PartlyBiasedCell(UNITS, layer_norm=True), return_sequences=True)
    layer.build(x.shape)
    randomize(layer, seed=1, scale=0.6)
    w = {v.name: numpy(v) for v in layer.cell.weights}
    h = np.zeros((BATCH, UNITS))
    found = numpy(layer(x))
    for t in range(STEPS):
        parts = []
        for v, part in ((x[:, t], "kernel"), (h, "recurrent")):
            name = part if part == "kernel" else "recurrent_kernel"
            z, a, g, b = np.split(v @ w[name], 4, -1)
            summed = normalized(np.concatenate([z, g], -1))
            z, g = np.split(summed, 2, -1)
            made_ = np.concatenate([z, normalized(a), g, normalized(b)], -1)
            parts.append(np.split(made_ * w[f"{part}_scale"], 4, -1))
        (xz, xa, xg, xb), (uz, ua, ug, ub) = parts
        bias_g, bias_b = np.split(w["bias"], 2)
        z = sigmoid(xz + uz)
        h = z * h + (1 - z) * np.tanh(xa * ua + xg + ug + bias_g + xb * (ub + bias_b))
        np.testing.assert_allclose(found[:, t], h, atol=2e-6)


@pytest.mark.parametrize("recurrent_bias", [False, True])
def test_gradients_of_biases_of_some_gates(recurrent_bias):
    cell = PartlyBiasedCell(UNITS)
    if recurrent_bias:
        biases = {"biases": None, "recurrent_bias": True}
        cell = type("Both", (PartlyBiasedCell,), biases)(UNITS)
    case = Case("biases", "holes", training=True, arguments=NORM | {"dropout": 0.3})
    expected, found = (_run(cell, case, way, 0) for way in ("step", "fused"))
    _compare(cell, case, "fused", expected, found)


def test_a_product_inside_of_the_step_is_normalized_alone(x):
    layer = made("mgu", layer_norm=True)
    expected = np.stack(list(Oracle(layer).mgu(x)), 1)
    np.testing.assert_allclose(numpy(layer(x)[0]), expected, atol=2e-6)


NORM = {"layer_norm": True, "zoneout": 0.2, "dropout_mask": "step"}
CASES = [
    Case("float64, holes", "holes", "float64", True, NORM | {"dropout": 0.3}),
    Case("half", dtype="mixed_float16", arguments={"layer_norm": True}),
    Case(
        "more features than units, holes, float64",
        mask="holes",
        dtype="float64",
        training=True,
        features=40,
        arguments={"layer_norm": True, "recurrent_dropout": 0.3},
    ),
    Case("update", training=True, arguments={"update_dropout": 0.4, "zoneout": 0.3}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize(
    "variant",
    [
        *("lstm", "gru", "mgu", "leaky_rnn_learned", "lstmp_wide"),
        *("multiplicative_lstm", "nas_biased"),
    ],
)
def test_engines_agree_on_outputs_states_and_gradients(variant, case):
    cell = catalogue.make(variant)
    with _precision(case.dtype):
        expected = _run(cell, case, "step", 0)
        found = _run(cell, case, "fused", 0)
    _compare(cell, case, "fused", expected, found)
