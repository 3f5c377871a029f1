"""Initializers: what each gate of a cell gets, against NumPy and the papers."""

import json

import catalogue
import keras
import numpy as np
import oracles
import pytest

import keras_rnnx
from keras_rnnx import cells, engine, initializers, layers, testing

UNITS, FEATURES = 6, 4
# Written from the papers: the gates that keep the state (1) and those that write (-1).
KEEPING = {
    "lstm": {"i": -1, "f": 1},
    "cifg": {"f": 1},
    "gru": {"z": 1},
    "ugrnn": {"g": 1},
    "janet": {"f": 1},
    "mgu": {"f": -1},
    "peephole_lstm": {"i": -1, "f": 1},
    "lstmp": {"i": -1, "f": 1},
    "multiplicative_lstm": {"i": -1, "f": 1},
    "slstm": {"i": -1, "f": 1},
    "li_gru": {"z": 1},
    "ran": {"i": -1, "f": 1},
    "cfn": {"i": -1, "f": 1},
    "minimal_rnn": {"f": 1},
    "star": {"k": -1},
    "brc": {"z": 1},
    "nbrc": {"z": 1},
    "mut1": {"z": -1},
    "mut2": {"z": -1},
    "mut3": {"z": -1},
    "rhn": {"t1": -1, "t2": -1},
    "lem": {"d1": -1, "d2": -1},
    "sru": {"f": 1},
    "qrnn": {"f": 1},
    "min_gru": {"z": -1},
    "min_lstm": {"i": -1, "f": 1},
    "trnn": {"f": 1},
    "tgru": {"f": 1},
    "tlstm": {"f": 1},
}
OTHERS = sorted({row.name for row in cells.catalog()} - set(KEEPING))
# Their biases are no biases of gates, or they have none.
WITHOUT_BIAS = {"scrn", "fast_grnn"}


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def built(name, units=UNITS, **kwargs):
    cell = cells.get(name, units, **kwargs)
    cell.build((None, FEATURES))
    return cell


def blocks(cell, weight):
    """The blocks of a weight by gate."""
    value = numpy(getattr(cell, weight))
    gates = cell.gates_of(weight)
    return dict(zip(gates, np.split(value, len(gates), axis=-1)))


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


def test_star_draws_its_blocks_apart():
    found = blocks(built("star", units=FEATURES), "kernel")
    for block in found.values():
        np.testing.assert_allclose(block @ block.T, np.eye(FEATURES), atol=1e-5)
    assert not np.allclose(found["k"], found["z"])


def test_fast_rnn_starts_as_its_authors_have_it():
    cell = built("fast_rnn", units=200)
    assert abs(numpy(cell.kernel).std() - 0.1) < 0.02
    assert abs(numpy(cell.recurrent_kernel).std() - 0.1) < 0.002
    assert np.all(numpy(cell.bias) == 1)


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
    said = "no bias" if name in WITHOUT_BIAS else "and \\w+Cell has none.*LeakRates"
    with pytest.raises(ValueError, match=said):
        biased = name not in WITHOUT_BIAS
        built(name, units=8, use_bias=biased, bias_initializer=make())


def test_identity_in_every_gate():
    cell = built("gru", recurrent_initializer=initializers.IdentityRecurrent(0.3))
    for block in blocks(cell, "recurrent_kernel").values():
        np.testing.assert_allclose(block, 0.3 * np.eye(UNITS), rtol=1e-6)


def test_per_gate_gives_each_gate_its_own():
    values = {"i": 1.0, "f": 2.0, "c": 3.0, "o": 4.0}
    constants = {g: keras.initializers.Constant(v) for g, v in values.items()}
    per_gate = initializers.PerGate(constants)
    cell = built(
        "lstm",
        kernel_initializer=per_gate,
        recurrent_initializer=per_gate,
        bias_initializer=per_gate,
    )
    for weight in ("kernel", "recurrent_kernel", "bias"):
        for gate, block in blocks(cell, weight).items():
            assert set(block.flat) == {values[gate]}, (weight, gate)


def test_per_gate_default_and_both_rows_of_a_bias():
    per_gate = initializers.PerGate({"r": "ones", "default": "zeros"})
    bias = blocks(built("gru", bias_initializer=per_gate), "bias")
    expected = {"z": 0, "r": 1, "h": 0}
    for gate, block in bias.items():
        np.testing.assert_array_equal(block, np.full((2, UNITS), expected[gate]))


def test_per_gate_orthogonal_is_orthogonal_in_each_gate_unlike_keras():
    def errors(cell):
        found = blocks(cell, "recurrent_kernel").values()
        return [np.max(np.abs(b.T @ b - np.eye(UNITS))) for b in found]

    assert min(errors(built("lstm"))) > 0.1
    per_gate = initializers.PerGate("orthogonal")
    assert max(errors(built("lstm", recurrent_initializer=per_gate))) < 1e-5


def test_per_gate_glorot_counts_one_gate():
    per_gate = initializers.PerGate(keras.initializers.GlorotUniform(seed=1))
    kernel = np.abs(numpy(built("lstm", 100, kernel_initializer=per_gate).kernel))
    limit = np.sqrt(6 / (FEATURES + 100))
    assert 0.98 * limit < kernel.max() <= limit


@pytest.mark.parametrize("seed", [None, 5, "generator"])
@pytest.mark.parametrize("dictionary", [False, True])
def test_no_two_gates_get_the_same_draw(seed, dictionary):
    def make():
        given = keras.random.SeedGenerator(5) if seed == "generator" else seed
        normal = keras.initializers.RandomNormal(seed=given)
        return initializers.PerGate({"default": normal} if dictionary else normal)

    found = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        cell = built("lstm", recurrent_initializer=make())
        found.append(blocks(cell, "recurrent_kernel"))
    values = list(found[0].values())
    for k, block in enumerate(values):
        for other in values[:k]:
            assert abs(np.corrcoef(block.ravel(), other.ravel())[0, 1]) < 0.7
    for gate, block in found[0].items():
        np.testing.assert_array_equal(block, found[1][gate])


def test_the_first_gate_has_the_seed_that_was_given():
    normal = keras.initializers.RandomNormal(seed=5)
    cell = built("gru", recurrent_initializer=initializers.PerGate(normal))
    expected = numpy(normal((UNITS, UNITS)))
    np.testing.assert_array_equal(blocks(cell, "recurrent_kernel")["z"], expected)


def test_per_gate_in_a_layer_of_keras():
    layer = keras.layers.GRU(
        UNITS, recurrent_initializer=initializers.PerGate("orthogonal")
    )
    layer.build((None, 5, FEATURES))
    for block in np.split(numpy(layer.cell.recurrent_kernel), 3, axis=1):
        np.testing.assert_allclose(block.T @ block, np.eye(UNITS), atol=1e-5)


@pytest.mark.parametrize("density", [1.0, 0.5, 0.01])
@pytest.mark.parametrize("initializer", [None, "random_uniform"])
def test_spectral_radius(initializer, density):
    made = initializers.SpectralRadius(0.7, initializer, density=density, seed=2)
    cell = built("gru", 20, recurrent_initializer=made)
    found = blocks(cell, "recurrent_kernel")
    for block in found.values():
        radius = np.max(np.abs(np.linalg.eigvals(block.astype("float64"))))
        np.testing.assert_allclose(radius, 0.7, rtol=2e-3)
        connections = np.count_nonzero(block, axis=0)
        assert set(connections) == {max(1, round(density * 20))}
    assert not np.allclose(found["z"], found["r"])


def test_antisymmetric():
    made = initializers.Antisymmetric(scale=2.0, gamma=0.3, seed=2)
    found = blocks(built("gru", 60, recurrent_initializer=made), "recurrent_kernel")
    for block in found.values():
        np.testing.assert_allclose(block + block.T, -0.6 * np.eye(60), atol=1e-6)
        # V - Vᵀ has twice the variance of V, which is scale ** 2 / n.
        above = block[np.triu_indices(60, 1)]
        np.testing.assert_allclose(above.std(), 2 * np.sqrt(2 / 60), rtol=0.1)
        np.testing.assert_allclose(np.linalg.eigvals(block).real, -0.3, atol=1e-4)
    assert not np.allclose(found["z"], found["r"])


def leaky(units=7, **kwargs):
    layer = layers.LeakyRNN(units, return_sequences=True, return_state=True, **kwargs)
    layer.build((None, None, FEATURES))
    return layer


def test_leak_rates_are_spread_evenly_over_orders_of_magnitude():
    rates = initializers.LeakRates(2, 200, seed=1)
    layer = leaky(1000, recurrent_initializer="zeros", leak=rates)
    steps = 1 / numpy(layer.cell.leak_rates)
    assert steps.min() >= 2 * (1 - 1e-6) and steps.max() <= 200 * (1 + 1e-6)
    counts, _ = np.histogram(np.log10(steps / 2), bins=10, range=(0, 2))
    assert np.all(np.abs(counts - 100) < 4 * np.sqrt(100 * 0.9))


@pytest.mark.parametrize("activation", ["tanh", "leaky_relu"])
def test_drawn_leak_rates_are_those_of_the_equation(activation):
    layer = leaky(activation=activation, leak=initializers.LeakRates(1, 40, seed=1))
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))
    weights = {v.name: numpy(v).astype("float64") for v in layer.weights}
    assert "leak_rates" not in {v.name for v in layer.trainable_variables}
    function = {"tanh": np.tanh, "leaky_relu": oracles.leaky_relu}[activation]
    oracle = oracles.leaky(weights["leak_rates"], function)
    x = rng.normal(size=(3, 6, FEATURES)).astype("float32")
    state = rng.normal(size=(3, 7)).astype("float32")
    expected, _ = oracle(x, weights, [state])
    for name in catalogue.engines("leaky_rnn", layer):
        with engine.force(name):
            outputs, last = layer(x, initial_state=[state])
        np.testing.assert_allclose(numpy(outputs), expected, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(numpy(last), expected[:, -1], atol=1e-5)


@pytest.mark.slow
def test_a_cell_with_drawn_leak_rates_conforms():
    cell = cells.LeakyRNNCell(7, leak=initializers.LeakRates(2, 50, seed=1))
    report = testing.check_cell(cell)
    assert list(report.engines) == catalogue.engines("leaky_rnn", layers.RNN(cell))


def test_learned_leak_rates_start_as_drawn():
    rates = initializers.LeakRates(3, 90, seed=4)
    fixed, learned = leaky(leak=rates), leaky(leak=rates, leak_trainable=True)
    start = 1 / (1 + np.exp(-numpy(learned.cell.leak_logit)))
    np.testing.assert_allclose(start, numpy(fixed.cell.leak_rates), rtol=1e-5)
    assert learned.cell.leak_logit.trainable


@pytest.mark.parametrize("trainable", [False, True])
def test_drawn_leak_rates_are_saved(trainable, tmp_path):
    def make():
        rates = initializers.LeakRates(2, 100)
        return keras.Sequential(
            [
                keras.Input((5, FEATURES)),
                layers.LeakyRNN(UNITS, leak=rates, leak_trainable=trainable),
            ]
        )

    model, x = make(), np.ones((2, 5, FEATURES), "float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.layers[0].leak, initializers.LeakRates)
    model.save_weights(tmp_path / "model.weights.h5")
    other = make()
    assert not np.allclose(numpy(other(x)), numpy(model(x)))
    other.load_weights(tmp_path / "model.weights.h5")
    for found in (loaded, other):
        np.testing.assert_allclose(numpy(found(x)), numpy(model(x)), rtol=1e-6)


def test_drawn_leak_rates_stay_in_training_and_differ_between_directions():
    rates = initializers.LeakRates(2, 100)
    both = keras.layers.Bidirectional(layers.LeakyRNN(UNITS, leak=rates))
    model = keras.Sequential([keras.Input((5, FEATURES)), both])
    model.compile("sgd", "mse")
    drawn = [r.cell.leak_rates for r in (both.forward_layer, both.backward_layer)]
    before = [numpy(r).copy() for r in drawn]
    model.fit(np.ones((4, 5, FEATURES)), np.ones((4, 2 * UNITS)), verbose=0)
    for now, then in zip(drawn, before):
        np.testing.assert_array_equal(numpy(now), then)
    assert not np.allclose(*before)


ALL = {
    "chrono": lambda seed: initializers.Chrono(30, seed=seed),
    "unit_range": lambda seed: initializers.UnitRange(30, seed=seed),
    "forget_bias": lambda seed: initializers.ForgetBias(2.0),
    "identity": lambda seed: initializers.IdentityRecurrent(0.5),
    "per_gate": lambda seed: initializers.PerGate(
        {"f": keras.initializers.Orthogonal(seed=1), "default": "ones"}
    ),
    "per_gate_all": lambda seed: initializers.PerGate(
        initializers.Antisymmetric(seed=seed)
    ),
    "spectral_radius": lambda seed: initializers.SpectralRadius(
        0.5, "random_normal", density=0.5, seed=seed
    ),
    "antisymmetric": lambda seed: initializers.Antisymmetric(2.0, 0.1, seed=seed),
    "positive_definite": lambda seed: initializers.NormalizedPositiveDefinite(seed),
    "leak_rates": lambda seed: initializers.LeakRates(2, 9, seed=seed),
}


@pytest.mark.parametrize("seed", [None, 3, "generator"])
@pytest.mark.parametrize("name", ALL)
def test_configs_are_complete(name, seed):
    given = keras.random.SeedGenerator(5) if seed == "generator" else seed
    made = ALL[name](given)
    written = json.loads(json.dumps(keras.initializers.serialize(made)))
    read = keras.initializers.get(written)
    assert type(read) is type(made)
    assert read.get_config() == made.get_config()


@pytest.mark.parametrize("name", ["chrono", "per_gate_all", "antisymmetric"])
def test_seeds_reproduce(name):
    weight = "bias" if name == "chrono" else "recurrent"

    def draw(seed):
        cell = built("lstm", **{f"{weight}_initializer": ALL[name](seed)})
        return numpy(cell.bias if weight == "bias" else cell.recurrent_kernel)

    np.testing.assert_array_equal(draw(3), draw(3))
    assert not np.allclose(draw(3), draw(4))
    assert not np.allclose(draw(None), draw(None))


def test_a_model_is_built_while_it_is_traced_and_saved(tmp_path):
    """Keras asks for initial values in the trace too, where there are no numbers."""
    per_gate = initializers.PerGate("orthogonal")
    model = keras.Sequential(
        [
            layers.LSTM(
                UNITS,
                return_sequences=True,
                kernel_initializer=per_gate,
                recurrent_initializer=initializers.SpectralRadius(density=0.5),
                bias_initializer=initializers.Chrono(20),
            ),
            layers.LeakyRNN(UNITS, leak=initializers.LeakRates(2, 20)),
        ]
    )
    model.compile("sgd", "mse")
    x = np.ones((4, 5, FEATURES), "float32")
    model.fit(x, np.ones((4, UNITS)), verbose=0)
    forget = numpy(model.layers[0].cell.bias)[UNITS : 2 * UNITS]
    assert np.all(forget > -0.1) and np.any(forget > 0.5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(x)), numpy(model(x)), rtol=1e-6)
    copy = loaded.layers[0]
    assert isinstance(copy.bias_initializer, initializers.Chrono)
    assert copy.bias_initializer.max_steps == 20


def test_initial_weights_leave_the_engine_as_it_is():
    plain = layers.LSTM(UNITS)
    started = layers.LSTM(
        UNITS,
        kernel_initializer=initializers.PerGate("glorot_uniform"),
        recurrent_initializer=initializers.PerGate("orthogonal"),
        bias_initializer=initializers.Chrono(20),
    )
    assert engine.plan(plain) == engine.plan(started)
    drawn = layers.LeakyRNN(UNITS, leak=initializers.LeakRates(2, 20))
    assert engine.plan(layers.LeakyRNN(UNITS)) == engine.plan(drawn)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: initializers.Chrono(2),
            "`max_steps` must be an integer of at least 3",
        ),
        (lambda: initializers.Chrono(9.5), "received 9.5"),
        (lambda: initializers.Chrono(9, seed="a"), "`seed` must be .*received 'a'"),
        (
            lambda: built("lstm", recurrent_initializer=initializers.Chrono(9)),
            "Chrono makes biases.*recurrent_kernel of LSTMCell.*PerGate",
        ),
        (
            lambda: built("lstm", kernel_initializer=initializers.ForgetBias()),
            "ForgetBias makes biases.*the kernel of LSTMCell",
        ),
        (
            lambda: keras.layers.LSTM(3, bias_initializer=initializers.Chrono(9)).build(
                (None, 5, 2)
            ),
            r"`bias_initializer` to a cell or layer of keras_rnnx.*\(3,\)",
        ),
        (
            lambda: built(
                "lstm", use_bias=False, bias_initializer=initializers.Chrono(9)
            ),
            r"bias_initializer=Chrono\(...\) together with use_bias=False",
        ),
        (lambda: initializers.ForgetBias("much"), "`value`.*'much'"),
        (
            lambda: built("lstm", kernel_initializer=initializers.IdentityRecurrent()),
            "IdentityRecurrent is for recurrent kernels.*the kernel of LSTMCell",
        ),
        (lambda: initializers.Antisymmetric()((3, 4)), r"Antisymmetric .*\(3, 4\)"),
        (lambda: initializers.Antisymmetric(gamma=-1), "`gamma`.*-1"),
        (lambda: initializers.SpectralRadius(0.0), "`radius` must be positive"),
        (lambda: initializers.SpectralRadius(density=1.5), "`density`.*1.5"),
        (lambda: initializers.PerGate(None), "needs an initializer.*None"),
        (
            lambda: built(
                "lstm", bias_initializer=initializers.PerGate({"forget": "ones"})
            ),
            "received the gate 'forget', but LSTMCell has the gates i, f, c, o",
        ),
        (
            lambda: built("lstm", bias_initializer=initializers.PerGate({"f": "ones"})),
            "nothing for the gates i, c, o.*'default'",
        ),
        (lambda: initializers.PerGate("ones")((3, 8)), r"cannot tell.*\(3, 8\)"),
        (lambda: initializers.PerGate({"f": "ones"})((3, 9)), "gates by name"),
        (lambda: initializers.LeakRates(0.5, 9), "shortest=0.5"),
        (lambda: initializers.LeakRates(9, 2), "shortest=9, longest=2"),
        (
            lambda: cells.LeakyRNNCell(
                3, leak=initializers.LeakRates(1, 9), leak_trainable=True
            ),
            "leak_trainable=True.*shortest=1",
        ),
        (
            lambda: cells.LeakyRNNCell(3, leak=keras.initializers.RandomUniform()),
            "LeakRates, whose bounds are known; received RandomUniform",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_all_are_exported():
    assert set(initializers.__all__) == {
        type(make(None)).__name__ for make in ALL.values()
    }
    assert keras_rnnx.initializers is initializers
