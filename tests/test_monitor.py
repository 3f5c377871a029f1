"""Monitor: measures of a diagnosis in the logs of `fit`, and warnings."""

import copy
import csv
import warnings

import keras
import numpy as np
import pytest
from small_searches import adding

import keras_rnnx
from keras_rnnx import layers
from keras_rnnx.callbacks import DivergenceGuard, Monitor, MonitorWarning
from keras_rnnx.diagnosis import _watch
from keras_rnnx.initializers import SpectralRadius
from keras_rnnx.tuner import search

pytestmark = pytest.mark.usefixtures("uncompiled")

STEPS = 12
OF_GRU = {
    *("gradient_horizon", "gradient_factor", "saturated", "dead", "stuck"),
    *("dimensions", "update_ratio"),
}


def task(samples=24, steps=STEPS):
    random = np.random.default_rng(0)
    x = random.normal(size=(samples, steps, 2)).astype("float32")
    return x, (x[:, 0, :1] + x[:, -1, 1:]).astype("float32")


def model_of(*made, optimizer=None, steps=STEPS):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((steps, 2)), *made, keras.layers.Dense(1)])
    model.compile(optimizer or keras.optimizers.Adam(0.01), "mse")
    return model


def gru(**options):
    # Layers draw their seeds when they are made.
    keras.utils.set_random_seed(0)
    return model_of(layers.GRU(4, name="gru", **options))


def fit(model, *callbacks, epochs=2, **options):
    x, y = task()
    options = {"batch_size": 8, "shuffle": False, "verbose": 0, **options}
    return model.fit(x, y, epochs=epochs, callbacks=list(callbacks), **options).history


def quiet(**options):
    x, y = task()
    return Monitor(x[:16], y[:16], warn=False, **options)


# --- what is in the logs ---


def test_the_logs_have_what_a_diagnosis_has():
    model = gru()
    model.compile(keras.optimizers.Adam(0.01, global_clipnorm=0.1), "mse")
    x, y = task()
    options = {"sequences": 16, "batch_size": 8}
    history = fit(model, Monitor(x[:16], y[:16], warn=False, **options))
    report = keras_rnnx.diagnose(
        model,
        x[:16],
        y[:16],
        measures=("gradients", "states", "updates"),
        **options,
    )
    last = {name: values[-1] for name, values in history.items()}
    assert {name for name in last if name.startswith("gru/")} == {
        f"gru/{name}" for name in OF_GRU
    }
    measured = report.layers["gru"]
    expected = {
        "gru/gradient_horizon": measured.gradients.horizon or STEPS,
        "gru/gradient_factor": measured.gradients.factor,
        "gru/saturated": measured.states.saturated,
        "gru/dead": measured.states.dead,
        "gru/stuck": max(gate.stuck for gate in measured.states.gates.values()),
        "gru/dimensions": measured.states.dimensions,
        "gru/update_ratio": measured.update.ratio,
        "gradient_norm": report.training.norms.mean(),
        "clipped": report.training.clipped,
    }
    for name, value in expected.items():
        assert last[name] == pytest.approx(value, rel=1e-4), name
    assert set(last) == {"loss", *expected}


KINDS = {
    "dropout": lambda: [layers.LSTM(3, dropout=0.3, zoneout=0.1)],
    "Keras'": lambda: [
        keras.layers.LSTM(3, return_sequences=True, name="lower"),
        keras.layers.GRU(3, dropout=0.2, name="upper"),
    ],
    "both": lambda: [layers.Bidirectional(layers.MinGRU(3), name="both")],
    "stack": lambda: [layers.Stack("gru", 3, depth=2, dropout=0.3, name="stack")],
}
NAMES = {
    "dropout": None,
    "Keras'": ["lower", "upper"],
    "both": ["both/forward_min_gru", "both/backward_min_gru"],
    "stack": None,
}


@pytest.mark.compiled
@pytest.mark.cases(2)
@pytest.mark.parametrize("unit", ["epoch", "batch"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_trains_as_without_it(kind, unit):
    runs = []
    for monitor in ([], [quiet(unit=unit)]):
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        model = model_of(*KINDS[kind](), keras.layers.Dropout(0.2))
        history = fit(model, *monitor)
        variables = [*model.variables, *model.optimizer.variables]
        values = [keras.ops.convert_to_numpy(v) for v in variables]
        runs.append((history["loss"], values))
    assert runs[0][0] == runs[1][0]
    for plain, watched in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_array_equal(plain, watched)
    there = {name.rpartition("/")[0] for name in history if "/" in name}
    expected = set(keras_rnnx.diagnose(model, *task(), measures=()).layers)
    assert there == expected and len(there) == (1 if kind == "dropout" else 2)
    if NAMES[kind]:
        assert there == set(NAMES[kind])


@pytest.mark.compiled
def test_states_of_a_stateful_layer_go_on_as_without_it():
    runs = []
    for monitor in ([], [True]):
        keras.utils.set_random_seed(0)
        x, y = task()
        model = keras.Sequential(
            [
                keras.Input(batch_shape=(8, STEPS, 2)),
                layers.GRU(3, stateful=True),
                keras.layers.Dense(1),
            ]
        )
        model.compile("adam", "mse")
        made = [Monitor(x[:8], y[:8], unit="batch", warn=False) for _ in monitor]
        runs.append(fit(model, *made)["loss"])
    assert runs[0] == runs[1]


def test_a_functional_model_with_several_inputs_and_outputs():
    keras.utils.set_random_seed(0)
    x, y = task()
    a, b = keras.Input((STEPS, 2), name="a"), keras.Input((STEPS, 2), name="b")
    mask = keras.layers.Masking(9.0)(b)
    first = keras.layers.Dense(1, name="first")(layers.GRU(3, name="one")(a))
    second = keras.layers.Dense(1, name="second")(layers.LSTM(3, name="two")(mask))
    model = keras.Model([a, b], [first, second])
    model.compile("adam", "mse")
    monitor = Monitor([x, x], [y, y], warn=False)
    history = model.fit([x, x], [y, y], verbose=0, callbacks=[monitor]).history
    assert {"one/dead", "two/gradient_horizon", "gradient_norm"} <= set(history)


# --- when, and in which order ---


@pytest.mark.any_backend
def test_measures_are_as_often_as_every_says(monkeypatch):
    looked = []
    look = _watch.Watch.look

    def counted(watch, *arguments):
        looked.append(len(looked))
        return look(watch, *arguments)

    monkeypatch.setattr(_watch.Watch, "look", counted)
    values = fit(gru(), quiet(every=2), epochs=4)["gru/dimensions"]
    assert len(looked) == 2 and len(values) == 4
    assert values[0] == values[1] != values[2] == values[3]
    looked.clear()
    seen = []
    reader = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(logs["gru/dimensions"])
    )
    # Three batches in an epoch: it measures behind batches 1 and 5 of 6.
    values = fit(gru(), quiet(every=4, unit="batch"), reader)["gru/dimensions"]
    assert len(looked) == 2
    assert seen == [values[0]] * 4 + [values[1]] * 2
    assert values[0] != values[1]


@pytest.mark.any_backend
def test_callbacks_behind_it_and_the_history_get_its_numbers(tmp_path):
    rows = {}
    for place in ("before", "behind"):
        file = tmp_path / f"{place}.csv"
        monitor, logger = quiet(every=2), keras.callbacks.CSVLogger(str(file))
        order = [logger, monitor] if place == "before" else [monitor, logger]
        history = fit(gru(), *order)
        assert len(history["gru/gradient_horizon"]) == 2
        with file.open() as lines:
            rows[place] = list(csv.DictReader(lines))
    assert "gru/gradient_horizon" not in rows["before"][0]
    found = [float(row["gru/gradient_horizon"]) for row in rows["behind"]]
    assert found == history["gru/gradient_horizon"]


@pytest.mark.any_backend
def test_another_callback_stops_training_by_its_numbers():
    stop = keras.callbacks.EarlyStopping("gru/gradient_horizon", mode="max", patience=1)
    history = fit(gru(), quiet(every=9), stop, epochs=9)
    assert len(history["loss"]) == 2


@pytest.mark.any_backend
def test_two_of_them_need_a_prefix():
    with pytest.raises(ValueError, match="Give one Monitor a prefix"):
        fit(gru(), quiet(), quiet())
    history = fit(gru(), quiet(), quiet(prefix="again/"))
    assert history["gru/dead"] == history["again/gru/dead"]
    assert history["gradient_norm"] == history["again/gradient_norm"]


@pytest.mark.any_backend
def test_one_that_is_copied_or_used_again():
    """KerasTuner copies callbacks for each trial."""
    monitor = quiet()
    first = fit(gru(), monitor)
    assert fit(gru(), copy.deepcopy(quiet())) == first
    assert fit(gru(), monitor) == first


@pytest.mark.any_backend
def test_a_search_has_its_numbers(tmp_path):
    data = adding()
    result = search(
        data,
        cells=["simple_rnn"],
        trials=1,
        max_epochs=2,
        finalists=0,
        batch_size=16,
        preset="quick",
        stopping=None,
        space={"units": (2, 4)},
        directory=tmp_path,
        callbacks=lambda: [Monitor(*data.train, warn=False)],
    )
    names = [name.rpartition("/")[2] for name in result.history]
    assert {"gradient_horizon", "update_ratio", "gradient_norm"} <= set(names)
    assert {len(values) for values in result.history.values()} == {2}


# --- warnings ---


def vanishing():
    start = SpectralRadius(0.2)
    return model_of(layers.SimpleRNN(4, recurrent_initializer=start, name="rnn"))


@pytest.mark.any_backend
def test_it_warns_once_for_each_trouble_and_layer():
    x, y = task()
    monitor = Monitor(x, y)
    with pytest.warns(MonitorWarning) as caught:
        fit(vanishing(), monitor, epochs=3)
    said = [str(w.message) for w in caught if w.category is MonitorWarning]
    assert len(said) == len(set(said)) == len(monitor.findings)
    (one,) = (text for text in said if text.startswith("Gradients vanish in rnn"))
    assert "(epoch 1)" in one and f"the data have {STEPS} steps" in one
    assert "What helps: keras_rnnx.layers.LSTM(4, " in one
    assert monitor.findings[0].name == "vanishing"
    assert issubclass(MonitorWarning, UserWarning)


@pytest.mark.any_backend
def test_it_can_be_silent():
    monitor = quiet()
    with warnings.catch_warnings():
        warnings.simplefilter("error", MonitorWarning)
        fit(vanishing(), monitor)
    assert monitor.findings[0].name == "vanishing"


def test_numbers_that_are_not_finite():
    model, (x, y) = gru(), task()
    monitor = Monitor(x[:16], y[:16], unit="batch")

    class Spoil(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 1:
                kernel = self.model.trainable_variables[0]
                kernel.assign(np.full(kernel.shape, np.nan))

    with pytest.warns(MonitorWarning, match="Weights are NaN or infinite") as caught:
        history = fit(model, Spoil(), monitor)
    text = next(str(w.message) for w in caught if "Weights" in str(w.message))
    assert "(epoch 1, batch 2)" in text and "kernel" in text
    ours = {k: v for k, v in history.items() if k != "loss"}
    assert len(ours) == len(OF_GRU) + 1
    assert all(np.isnan(values).all() for values in ours.values())
    assert "nan" in {finding.name for finding in monitor.findings}


@pytest.mark.compiled
def test_beside_a_guard():
    x, y = task()
    runs = []
    for monitor in ([], [quiet()]):
        guard, model = DivergenceGuard(), gru(dropout=0.2)
        data = guard.watch(x, y, batch_size=8)
        model.fit(data, epochs=2, verbose=0, callbacks=[*monitor, guard], shuffle=False)
        runs.append(model.get_weights())
        assert guard.report is None
    for plain, watched in zip(*runs):
        np.testing.assert_array_equal(plain, watched)


# --- what it refuses ---


def test_a_model_without_recurrent_layers():
    model = model_of(keras.layers.Flatten())
    with pytest.raises(ValueError, match="`model` has no recurrent layers"):
        fit(model, quiet())


def test_data_that_do_not_fit():
    x, y = task()
    with pytest.raises(ValueError, match=r"`x` has shape .* and the model takes"):
        fit(gru(), Monitor(x[..., :1], y))
    with pytest.raises(ValueError, match="`y` does not fit"):
        fit(gru(), Monitor(x, np.ones((len(x), 7, 3), "float32")))


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "`every` must be an integer of at least 1"),
        ({"unit": "step"}, "`unit` is 'epoch' or 'batch', received 'step'"),
        ({"sequences": 0}, "`sequences`"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        Monitor(*task(), **options)
