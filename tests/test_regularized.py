"""Masks and normalization: each as its paper says it, in NumPy, and on every engine."""

import catalogue
import keras
import numpy as np
import pytest
from oracles import columns, sigmoid

from keras_rnnx import cells, engine, explain, layers
from keras_rnnx.testing.cases import Case
from keras_rnnx.testing.conformance import _compare, _precision, _run

UNITS, FEATURES, BATCH, STEPS = 6, 4, 3, 5
EPSILON = 1e-5


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def made(name, monkeypatch=None, **arguments):
    """A layer with distinct random weights; masks that it draws are noted."""
    layer = layers.RNN(
        cells.get(name, UNITS, **arguments), return_sequences=True, return_state=True
    )
    layer.build((BATCH, STEPS, FEATURES))
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(0.6 * rng.normal(size=variable.shape))
    if monkeypatch:
        draw = layer.cell.noise.draw

        def noted(*args):
            layer.drawn = draw(*args)
            return layer.drawn

        monkeypatch.setattr(layer.cell.noise, "draw", noted)
    return layer


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
METHODS = {
    "dropout": {"dropout": 0.4, "recurrent_dropout": 0.3},
    "step": {"dropout": 0.4, "recurrent_dropout": 0.3, "dropout_mask": "step"},
    "weights": {"weight_dropout": 0.4, "input_weight_dropout": 0.3},
    "update": {"update_dropout": 0.5},
    "update, step": {"update_dropout": 0.5, "dropout_mask": "step"},
    "zoneout": {"zoneout": 0.4},
    "layer_norm": {"layer_norm": True},
    "all": {
        "dropout": 0.3,
        "recurrent_dropout": 0.2,
        "weight_dropout": 0.2,
        "input_weight_dropout": 0.2,
        "update_dropout": 0.3,
        "zoneout": 0.2,
        "layer_norm": True,
    },
}


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
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(0.6 * rng.normal(size=variable.shape))
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


@pytest.mark.parametrize(
    "arguments",
    [
        {"dropout": 0.5},
        {"recurrent_dropout": 0.5},
        {"update_dropout": 0.5},
        {"update_dropout": 0.5, "dropout_mask": "step"},
        {"weight_dropout": 0.5},
        {"zoneout": 0.5},
    ],
    ids=str,
)
def test_masks_keep_the_mean(arguments, x):
    """Of a linear step from a non-zero state, whose mean is what inference gives."""
    cell = cells.LeakyRNNCell(UNITS, activation="linear", **arguments)
    layer = layers.RNN(cell)
    many = np.repeat(x[:1, :1], 4000, axis=0)
    layer.build(many.shape)
    state = np.random.default_rng(5).normal(size=(1, UNITS)).astype("float32")
    states = [np.repeat(state, 4000, axis=0)]
    expected = numpy(layer(many, initial_state=states))[0]
    calls = 200 if "weight_dropout" in arguments else 1
    found = [
        numpy(layer(many, initial_state=states, training=True)) for _ in range(calls)
    ]
    samples = np.stack(found)[:, :1] if calls > 1 else np.stack(found)
    spread = samples.std(axis=(0, 1)) / np.sqrt(samples[..., 0].size)
    assert np.all(spread > 0)
    np.testing.assert_array_less(
        abs(samples.mean(axis=(0, 1)) - expected), 5 * spread + 1e-6
    )


def test_a_rate_for_each_state(x, monkeypatch):
    layer = made("lstm", monkeypatch, zoneout=[0.0, 0.9])
    layer(x, training=True)
    assert set(layer.drawn) == {"zoneout c"}
    big = made("lstm", monkeypatch, zoneout=[0.2, 0.7])
    big(np.repeat(x, 300, axis=0), training=True)
    for state, rate in (("h", 0.2), ("c", 0.7)):
        kept = numpy(big.drawn[f"zoneout {state}"])
        assert kept.shape == (300 * BATCH, STEPS, UNITS)
        assert abs(kept.mean() - rate) < 0.02


def test_a_clock_goes_on_where_units_are_kept(x, monkeypatch):
    arguments = {"periods": (1, 2), "zoneout": 0.2}
    layer = made("clockwork_rnn", monkeypatch, **arguments)
    assert layer.cell.zoneout_rates == (0.2, 0.0)
    outputs, _, clock = (numpy(v) for v in layer(x))
    # The slow half holds its value over every odd step.
    slow = outputs[:, :, UNITS // 2 :]
    np.testing.assert_allclose(slow[:, 1::2], slow[:, :-1:2], atol=1e-6)
    assert np.all(np.abs(slow[:, 2::2] - slow[:, 1:-1:2]) > 1e-4)
    expected = np.tile(np.repeat([0, STEPS % 2], UNITS // 2), (BATCH, 1))
    np.testing.assert_array_equal(clock, expected)
    _, _, clock = (numpy(v) for v in layer(x, training=True))
    assert set(layer.drawn) == {"zoneout h"}
    np.testing.assert_array_equal(clock, expected)


def test_states_relative_to_another_are_not_kept_alone(x, monkeypatch):
    layer = made("slstm", monkeypatch, zoneout=0.5)
    outputs, *states = layer(x, training=True)
    assert set(layer.drawn) == {"zoneout h"}
    # `h` is what it shows, a weighted mean of candidates within (-1, 1).
    assert np.all(np.abs(numpy(outputs)) < 1)
    with pytest.raises(ValueError, match="the state 'n' means nothing once it is kept"):
        cells.get("slstm", UNITS, zoneout=[0.1, 0.0, 0.1, 0.0])
    with pytest.raises(ValueError, match="the state 't' means nothing"):
        cells.get("clockwork_rnn", UNITS, zoneout=[0.1, 0.1])
    assert cells.get("clockwork_rnn", UNITS, zoneout=[0.1, 0.0]).zoneout_rates[0] == 0.1


@pytest.mark.parametrize("method", ["step", "weights", "update", "zoneout"])
def test_seeds_reproduce_and_calls_differ(method, x):
    a, b, c = (made("lstm", seed=seed, **METHODS[method]) for seed in (5, 5, 6))
    first, second = (numpy(a(x, training=True)[0]) for _ in range(2))
    assert not np.allclose(first, second)
    np.testing.assert_allclose(numpy(b(x, training=True)[0]), first, atol=1e-6)
    assert not np.allclose(numpy(c(x, training=True)[0]), first)


def test_directions_with_one_seed_draw_different_masks():
    layer = keras.layers.Bidirectional(
        layers.SimpleRNN(
            4,
            activation="linear",
            kernel_initializer="ones",
            recurrent_initializer="zeros",
            dropout=0.5,
            seed=7,
        ),
        merge_mode=None,
    )
    ones = np.ones((1, 1, 4000), "float32")
    there, back = layer(ones, training=True)
    assert numpy(there)[0, 0] != numpy(back)[0, 0]
    config = layer.get_config()
    again = keras.layers.Bidirectional.from_config(config)
    np.testing.assert_array_equal(numpy(again(ones, training=True)[1]), numpy(back))


def test_monte_carlo_draws_at_inference_too(x):
    arguments = METHODS["all"] | {"monte_carlo": True, "seed": 2}
    layer, trained = made("gru", **arguments), made("gru", **arguments)
    first, second = numpy(layer(x)[0]), numpy(layer(x)[0])
    assert not np.allclose(first, second)
    found = numpy(trained(x, training=True)[0])
    np.testing.assert_allclose(found, first, atol=1e-5)
    model = keras.Sequential([layers.GRU(UNITS, zoneout=0.5, monte_carlo=True)])
    a, b = (model.predict(x, verbose=0) for _ in range(2))
    assert not np.allclose(a, b)


@pytest.mark.parametrize("name", ["lstm", "leaky_rnn"])
def test_regularized_layers_train_and_are_saved(name, x, tmp_path):
    config = METHODS["all"] | {"dropout_mask": "step"}
    layer = layers.RNN(cells.get(name, UNITS, **config))
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
    model.compile("adam", "mse")
    before = [numpy(v) for v in model.trainable_variables]
    model.fit(x, np.ones((BATCH, UNITS), "float32"), epochs=2, verbose=0)
    for a, v in zip(before, model.trainable_variables):
        assert np.any(a != numpy(v)), v.path
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].cell.get_config() == layer.cell.get_config()
    np.testing.assert_allclose(numpy(loaded(x)), numpy(model(x)), atol=1e-6)


def test_a_hand_written_loop_draws_the_masks_of_a_step_anew(x):
    cell = cells.LSTMCell(UNITS, zoneout=0.5)
    cell.build((None, FEATURES))
    states = [np.ones((BATCH, UNITS), "float32")] * 2
    with cell.masks(BATCH):
        a, b = (cell(x[:, 0], states, training=True)[0] for _ in range(2))
    assert not np.allclose(numpy(a), numpy(b))
    with pytest.raises(ValueError, match="zoneout=0.5 was called for a training step"):
        cell(x[:, 0], states, training=True)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"weight_dropout": 1.0}, "`weight_dropout`.*rate in .0, 1., got 1.0"),
        ({"update_dropout": -0.1}, "`update_dropout`.*got -0.1"),
        ({"zoneout": 1.5}, "`zoneout`.*got 1.5"),
        ({"zoneout": [0.1] * 3}, "list of 2, one for each of the states h, c"),
        ({"dropout_mask": "batch"}, "'sequence' or 'step', got 'batch'"),
        ({"monte_carlo": 1}, "`monte_carlo`, expected True or False, got 1"),
        ({"layer_norm": "yes"}, "`layer_norm`, expected True or False, got 'yes'"),
    ],
)
def test_bad_input_is_explained(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.LSTM(3, **arguments)


@pytest.mark.parametrize("mask", ["none", "holes"])
@pytest.mark.parametrize(
    "variant",
    [
        "simple_rnn",
        "simple_rnn_relu",
        "simple_rnn_leaky_relu",
        "leaky_rnn",
        "leaky_rnn_learned",
        "leaky_rnn_relu",
        "fast_rnn",
        "fast_rnn_relu",
    ],
)
def test_the_mean_of_zoneout_runs_on_kernels_where_it_is_exact(variant, mask):
    cell = catalogue.make(variant, zoneout=0.3)
    layer = layers.RNN(cell)
    best = "native" if keras.backend.backend() == "torch" else "cudnn"
    assert cell.lowering().zoneout
    assert cell.noise.refusal(training=False) is None
    assert "at random" in cell.noise.refusal(training=True)
    if keras.backend.backend() != "torch":  # No kernel here to run.
        return
    assert engine.refusal(layer, best, training=False) is None
    assert "at random" in engine.refusal(layer, best, training=True)
    case = Case("zoneout", mask, "float64", arguments={"zoneout": 0.3})
    expected = _run(cell, case, "step", 0)
    _compare(cell, case, best, expected, _run(cell, case, best, 0))


def test_what_a_cell_cannot_do_is_explained(x):
    with pytest.raises(ValueError, match="does not call `gate.drop`"):
        layers.SimpleRNN(3, update_dropout=0.1)(x)
    stack = layers.RNN([cells.LSTMCell(3, zoneout=0.1), cells.LSTMCell(3)])
    stack(x)
    with pytest.raises(ValueError, match="draws masks at every step"):
        stack(x, training=True)


def test_explain_says_what_takes_a_kernel_away():
    def reason(training, **arguments):
        layer = layers.LSTM(3, **arguments)
        best = "native" if keras.backend.backend() == "torch" else "cudnn"
        return engine.refusal(layer, best, training) or ""

    def of_masks(training, **arguments):
        return layers.LSTM(3, **arguments).cell.noise.refusal(training)

    plain = reason(True)
    for kept in ({"dropout": 0.1, "dropout_mask": "step"}, {"weight_dropout": 0.1}):
        assert reason(True, **kept) == plain
        assert of_masks(True, **kept) is None
    for lost in ({"recurrent_dropout": 0.1}, {"update_dropout": 0.1}, {"zoneout": 0.1}):
        (name,) = lost
        assert f"{name}=0.1" in of_masks(True, **lost)
        assert of_masks(False, **lost) is None
        assert f"{name}=0.1" in of_masks(False, monte_carlo=True, **lost)
    if plain:  # No kernel here at all.
        return
    assert "weight_dropout would keep" in reason(True, recurrent_dropout=0.1)
    assert reason(False, recurrent_dropout=0.1) == plain
    assert "recurrent" in reason(False, recurrent_dropout=0.1, monte_carlo=True)
    assert "zoneout=0.1 keeps values" in reason(True, zoneout=0.1)
    assert "zoneout=0.1 mixes the old state" in reason(False, zoneout=0.1)
    assert "layer_norm=True" in reason(False, layer_norm=True)
    model = keras.Sequential([layers.LSTM(3, update_dropout=0.2)])
    assert "update_dropout=0.2" in explain(model)[0].reason
    (row,) = explain(model, training=False)
    assert row[2:] == explain(layers.LSTM(3))[0][2:]
