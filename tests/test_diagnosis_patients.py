"""keras_rnnx.diagnose: models with one trouble each, and healthy ones."""

import keras
import numpy as np
import pytest

import keras_rnnx
from keras_rnnx import layers
from keras_rnnx.diagnosis.cures import prescriptions
from keras_rnnx.diagnosis.findings import cost, patient, thresholds
from keras_rnnx.diagnosis.measured import Cost, LayerReport
from keras_rnnx.initializers import SpectralRadius

STEPS = 30


def task(steps=STEPS, samples=32):
    """Whether the first value is larger than the second, and what came since."""
    random = np.random.default_rng(0)
    x = random.normal(size=(samples, steps, 2)).astype("float32")
    return x, (x[:, 0, :1] + x[:, -1, 1:]).astype("float32")


def model_of(*made, optimizer="adam", steps=STEPS):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((steps, 2)), *made, keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


def names(report):
    return [finding.name for finding in report.findings]


def test_a_small_radius_makes_gradients_vanish():
    start = SpectralRadius(0.5)
    model = model_of(layers.SimpleRNN(8, recurrent_initializer=start, name="rnn"))
    report = keras_rnnx.diagnose(model, *task())
    first = report.findings[0]
    assert (first.name, first.layer) == ("vanishing", "rnn")
    assert f"the data have {STEPS} steps" in first.evidence
    assert first.cures[0].code == (
        "keras_rnnx.layers.LSTM(8, bias_initializer=keras_rnnx.initializers.Chrono(30))"
    )
    assert eval(first.cures[0].code).units == 8
    assert "arXiv:1211.5063" in first.paper and first.cause and first.title
    assert "1. Gradients vanish in rnn" in str(report)


def short_ring():
    return layers.LRU(16, radius_min=0.3, radius_max=0.4, name="lru")


@pytest.mark.any_backend
def test_a_short_ring_becomes_one_as_long_as_the_data():
    report = keras_rnnx.diagnose(model_of(short_ring()), *task())
    assert names(report)[0] == "vanishing"
    first = report.findings[0].cures[0]
    code = "keras_rnnx.layers.LRU(16, radius_min=0.8333, radius_max=0.998333)"
    assert first.code == code
    healed = model_of(eval(code))
    again = prescriptions.long_memory(healed, "lru", healed.layers[0], STEPS)
    assert all("radius" not in cure.code for cure in again)
    assert names(keras_rnnx.diagnose(healed, *task())) == []
    # A number just below 1 is not written as 1.
    long = keras_rnnx.diagnose(model_of(short_ring(), steps=999), *task(999, 8))
    assert "radius_max=0.99994995)" in long.findings[0].cures[0].code


@pytest.mark.parametrize("clip", [None, 1e30])
def test_a_large_radius_makes_gradients_explode(clip):
    start = SpectralRadius(1.5)
    layer = layers.SimpleRNN(
        8, activation="linear", recurrent_initializer=start, name="rnn"
    )
    optimizer = keras.optimizers.Adam(1e-3, global_clipnorm=clip)
    report = keras_rnnx.diagnose(model_of(layer, optimizer=optimizer), *task())
    if clip:
        # It never acts, and the norms are as they were.
        assert "exploding" not in names(report)
        return
    first = report.findings[0]
    assert (first.name, first.layer) == ("exploding", "rnn")
    assert "does not clip" in first.evidence and "global_clipnorm" in first.cure
    assert "SpectralRadius(1.0)" in first.cure


def test_chaos_is_told_by_lyapunov_exponents():
    random = np.random.default_rng(1)
    model = model_of(layers.SimpleRNN(64, name="rnn"), steps=100)
    weights = model.get_weights()
    weights[0] *= 0.01
    weights[1] = 4 * random.normal(size=(64, 64)) / 8
    model.set_weights(weights)
    report = keras_rnnx.diagnose(model, *task(steps=100), measures="dynamics")
    assert report.layers["rnn"].dynamics.exponents[0] > 0.1
    assert names(report) == ["exploding"]
    assert "Lyapunov exponent" in report.findings[0].evidence


@pytest.mark.any_backend
def test_dead_rectifiers():
    model = model_of(layers.SimpleRNN(8, activation="relu", name="rnn"))
    weights = model.get_weights()
    weights[2][:6] = -100
    model.set_weights(weights)
    report = keras_rnnx.diagnose(model, *task())
    (found,) = (f for f in report.findings if f.name == "dead")
    assert found.title == "75% of the units of rnn are dead"
    assert "6 of 8 units" in found.evidence
    assert eval(found.cure).units == 8


@pytest.mark.any_backend
def test_saturated_gates():
    model = model_of(layers.LSTM(8, name="rnn"))
    weights = model.get_weights()
    weights[2][:] = 10
    model.set_weights(weights)
    report = keras_rnnx.diagnose(model, *task())
    (found,) = (f for f in report.findings if f.name == "saturated_gates")
    assert found.title == "Gates f and i and o of rnn decide nothing" or (
        set("ifo") <= set(found.title)
    )
    assert eval(found.cure).cell.layer_norm is True


@pytest.mark.any_backend
def test_saturated_states():
    model = model_of(layers.SimpleRNN(8, name="rnn"))
    weights = model.get_weights()
    weights[0] *= 100
    model.set_weights(weights)
    assert "saturated_states" in names(keras_rnnx.diagnose(model, *task()))


@pytest.mark.any_backend
@pytest.mark.parametrize("kind", [layers.LSTM, keras.layers.LSTM])
def test_a_forget_gate_that_is_shut(kind):
    model = model_of(kind(8, name="rnn"))
    weights = [0.3 * w for w in model.get_weights()]
    weights[2][8:16] = -5
    model.set_weights(weights)
    report = keras_rnnx.diagnose(model, *task())
    (found,) = (f for f in report.findings if f.name == "forgetful")
    assert "the data have 30 steps" in found.evidence
    assert "Chrono(30)" in found.cure and "saturated_gates" not in names(report)


@pytest.mark.any_backend
def test_a_past_that_is_not_used():
    layer = layers.SimpleRNN(2, activation="linear", use_bias=False, name="rnn")
    model = model_of(layer)
    model.set_weights([np.eye(2), np.zeros((2, 2)), np.ones((2, 1)), np.zeros(1)])
    x, _ = task()
    y = x[:, -1].sum(axis=1, keepdims=True)
    # It has learned all that there is to learn: nothing is wrong.
    assert names(keras_rnnx.diagnose(model, x, y)) == []
    report = keras_rnnx.diagnose(model, x, y + 2 * x[:, 0, :1])
    # Nothing at all comes to the step before the last one.
    assert names(report)[0] == "vanishing"
    assert "1 steps back" in report.findings[0].evidence
    (found,) = (f for f in report.findings if f.name == "past_not_used")
    assert found.layer is None and "last 15 steps" in found.title


@pytest.mark.any_backend
def test_a_past_that_may_still_be_used():
    """The model answers with the last step alone, and gradients come to the first."""
    model = model_of(layers.IRNN(2, activation="linear", use_bias=False, name="rnn"))
    weights = model.get_weights()
    weights[:3] = [np.eye(2), np.diag([0.9, 0.9]), np.ones((2, 1))]
    model.set_weights(weights)
    x, _ = task()
    x[:, :-1] *= 1e-3
    report = keras_rnnx.diagnose(model, x, (x[:, -1].sum(axis=1, keepdims=True)) * 2)
    assert report.past.used < thresholds.PAST_USED and not report.findings


@pytest.mark.any_backend
@pytest.mark.parametrize("kind", [layers.GRU, layers.MinGRU, keras.layers.GRU])
def test_gates_that_throw_the_state_away_come_before_gradients(kind):
    model = model_of(kind(8, name="rnn"), steps=60)
    weights = model.get_weights()
    sign = 1 if kind is layers.MinGRU else -1
    weights[-3][..., :8] = 3.0 * sign
    model.set_weights(weights)
    report = keras_rnnx.diagnose(model, *task(steps=60))
    assert names(report)[:2] == ["forgetful", "vanishing"]
    assert "its gates keep 0.0" in report.findings[0].evidence


@pytest.mark.any_backend
def test_a_rate_comes_before_what_it_leads_to():
    layer = layers.SimpleRNN(8, recurrent_initializer=SpectralRadius(0.5), name="rnn")
    model = model_of(layer, optimizer=keras.optimizers.Adam(2.0))
    x, y = task()
    assert names(keras_rnnx.diagnose(model, x, y))[:2] == ["large_updates", "vanishing"]
    # It has made the weights as large as itself, and is still too high.
    model.fit(x, y, epochs=3, verbose=0)
    report = keras_rnnx.diagnose(model, x, y)
    assert names(report)[0] == "large_updates"


@pytest.mark.any_backend
def test_gates_at_both_ends_are_stuck():
    model = model_of(layers.GRU(8, name="rnn"))
    x, y = task()
    report = keras_rnnx.diagnose(model, 1000 * x, y)
    assert names(report)[0] == "saturated_gates"
    assert report.findings[0].title.startswith("Gates z and r ")


def test_numbers_that_are_not_finite():
    model = model_of(layers.LSTM(4, name="rnn"))
    x, y = task()
    bad = x.copy()
    bad[7, 3, 1] = np.nan
    report = keras_rnnx.diagnose(model, bad, y)
    assert names(report) == ["nan"]
    assert "1 of 1920 values in the data" in report.findings[0].evidence
    assert "sample 7, step 3, feature 1" in report.findings[0].evidence
    targets = y.copy()
    targets[2] = np.inf
    report = keras_rnnx.diagnose(model, x, targets)
    assert report.findings[0].title == "`y` holds NaN or infinity"
    assert report.layers["rnn"].states is not None
    weights = model.get_weights()
    weights[1][0, 0] = np.nan
    model.set_weights(weights)
    report = keras_rnnx.diagnose(model, x, y)
    assert names(report) == ["nan"]
    assert "1 of 64 in" in report.findings[0].evidence
    assert "recurrent_kernel" in report.findings[0].evidence
    assert "not finite" in report.notes[-1] and str(report)


def test_states_that_overflow():
    layer = layers.SimpleRNN(4, activation="linear", name="rnn")
    model = model_of(layer)
    weights = model.get_weights()
    weights[1] = 1e4 * np.eye(4)
    model.set_weights(weights)
    (found,) = keras_rnnx.diagnose(model, *task()).findings
    assert found.name == "nan" and found.layer == "rnn"
    assert "not finite from step" in found.title


def test_nan_that_is_padding_is_none():
    model = keras.Sequential(
        [
            keras.Input((None, 2)),
            layers.MaskPadding(),
            layers.GRU(4),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    x, y = task(steps=10)
    x[3, 6:] = np.nan
    report = keras_rnnx.diagnose(model, x, y)
    assert "nan" not in names(report)
    assert report.past is not None


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (keras.optimizers.Adam(1.0), "large_updates"),
        (keras.optimizers.SGD(1e-12), "small_updates"),
        (keras.optimizers.Adam(1e-3), None),
    ],
)
def test_updates_of_another_size(optimizer, expected):
    model = model_of(layers.LSTM(8, name="rnn"), optimizer=optimizer)
    report = keras_rnnx.diagnose(model, *task(), measures="updates")
    assert names(report) == ([expected] if expected else [])
    for found in report.findings:
        assert found.cure.startswith("model.optimizer.learning_rate = ")


@pytest.mark.any_backend
@pytest.mark.parametrize("share, expected", [(5e-7, ["small_updates"]), (2e-6, [])])
def test_updates_of_sgd_are_too_small_below_a_millionth(share, expected):
    model = model_of(layers.LSTM(8, name="rnn"), optimizer=keras.optimizers.SGD(1.0))
    whole = keras_rnnx.diagnose(model, *task(), measures="updates")
    model.optimizer.learning_rate = share / whole.layers["rnn"].update.ratio
    assert names(keras_rnnx.diagnose(model, *task(), measures="updates")) == expected


@pytest.mark.any_backend
def test_a_schedule_may_begin_at_nothing():
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, 100, warmup_target=1e-3, warmup_steps=10
    )
    model = model_of(layers.LSTM(8), optimizer=keras.optimizers.SGD(rate))
    assert not keras_rnnx.diagnose(model, *task(), measures="updates").findings


@pytest.mark.any_backend
def test_a_kernel_that_something_keeps_away():
    def found(layer, *row, share=0.5):
        report = LayerReport("rnn", "Cell", 4, 9, 9, cost=Cost(*row, 1e-3, share))
        made = patient.Patient(None, {"rnn": layer}, {"rnn": report}, None, None)
        return [finding.cure for finding in cost.slow(made)]

    gru = layers.GRU(4, reset_after=False)
    why = "reset_after=False multiplies by U in the middle of a step"
    cure = "keras_rnnx.layers.GRU(4, reset_after=True)"
    assert found(gru, "fused", "loop", why) == [cure]
    assert found(gru, "fused", "loop", why, share=0.1) == []
    assert found(gru, "fused", "loop", "tensorflow finds no GPU") == []
    assert found(gru, "native", "torch gru", "exact") == []
    if keras.backend.backend() == "torch":
        theirs = keras.layers.GRU(4)
        row = "keras", "Keras' own", "a Keras layer"
        assert found(theirs, *row) == ["keras_rnnx.convert(model)"]


def test_healthy_networks_have_no_findings():
    x, y = task(steps=12, samples=128)
    fresh = model_of(layers.LSTM(16, recipe="chrono", name="lstm"), steps=12)
    assert names(keras_rnnx.diagnose(fresh, x, y)) == []
    trained = model_of(
        layers.GRU(16, name="gru"),
        optimizer=keras.optimizers.Adam(0.01, global_clipnorm=1.0),
        steps=12,
    )
    trained.fit(x, y, epochs=30, batch_size=32, verbose=0)
    assert names(keras_rnnx.diagnose(trained, x, y)) == []


def test_a_healthy_tagger_has_no_findings():
    x, _ = task(steps=12, samples=64)
    y = np.cumsum(x[..., :1], axis=1) / 3
    model = model_of(
        layers.Bidirectional(layers.LSTM(8, recipe="chrono", return_sequences=True)),
        steps=12,
    )
    assert names(keras_rnnx.diagnose(model, x, y)) == []


@pytest.mark.any_backend
def test_findings_are_worst_first():
    start = SpectralRadius(0.2)
    made = [
        layers.SimpleRNN(
            8,
            recurrent_initializer=SpectralRadius(0.6),
            return_sequences=True,
            name="better",
        ),
        layers.SimpleRNN(8, recurrent_initializer=start, name="worse"),
    ]
    report = keras_rnnx.diagnose(model_of(*made), *task())
    ranks = [finding.rank for finding in report.findings]
    assert ranks == sorted(ranks)
    layer = [f.layer for f in report.findings if f.name == "vanishing"]
    assert layer[0] == "worse" or layer == ["better"]
    assert thresholds.FEW_STEPS < STEPS
