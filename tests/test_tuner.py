"""Searches: what they try, what they keep, and how they go on."""

import gc
import json
import math
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest
from keras import ops

import keras_rnnx
from keras_rnnx.cells import Cell, State
from keras_rnnx.datasets import load_task
from keras_rnnx.tuner import HyperRNN, SearchError, search

ROOT = Path(__file__).parents[1]
TINY = {"length": 4, "train": 32, "validation": 16, "test": 16}
SMALL = {"min_units": 2, "max_units": 4}


@keras_rnnx.cells.register(name="fragile_for_tests")
class FragileCell(Cell):
    """A simple RNN that is NaN throughout if so chosen."""

    states = ("h",)
    gates = ("h",)
    options = {"broken": False}

    def update(self, state, gate):
        return State(h=ops.tanh(gate.h) * (math.nan if self.broken else 1.0))

    @classmethod
    def search_space(cls, hp):
        return {"broken": hp.Boolean("broken", default=True)}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No compiling: it takes most of the time of trials as small as these."""
    build = HyperRNN.build

    def eager(self, hp):
        model = build(self, hp)
        model.run_eagerly = True
        return model

    monkeypatch.setattr(HyperRNN, "build", eager)
    with keras_rnnx.engine.force("step"):
        yield


@pytest.fixture(autouse=True, scope="module")
def little_to_collect():
    """KerasTuner collects garbage before each model, among all that was imported."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def task():
    """The adding problem, as small as it gets."""
    return load_task("adding", **TINY)


def tiny_search(task, directory, cells=("simple_rnn",), **kwargs):
    """A search that takes about a second a trial."""
    defaults = {"trials": 2, "max_epochs": 2, "batch_size": 16, "tuner": "random"}
    options = {**defaults, **SMALL, **kwargs}
    return search(task, cells, directory=directory, **options)


def timeless(leaderboard):
    """A leaderboard without what differs between equal searches."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in leaderboard]


def stop_in(trial, epoch=1):
    """A progress function that interrupts, as Ctrl-C would."""

    def progress(event):
        if (event.trial, event.epoch) == (trial, epoch):
            raise KeyboardInterrupt

    return progress


# --- the hypermodel -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (keras_tuner.RandomSearch, {"max_trials": 2}),
        (keras_tuner.BayesianOptimization, {"max_trials": 3, "num_initial_points": 2}),
        (keras_tuner.GridSearch, {"max_trials": 2}),
        (keras_tuner.Hyperband, {"max_epochs": 2, "factor": 2}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_tuner_runs_it(task, tmp_path, make, options):
    hypermodel = HyperRNN((4, 2), cells=["simple_rnn", "leaky_rnn"], **SMALL)
    objective = hypermodel.objective
    tuner = make(hypermodel, objective, directory=tmp_path, seed=1, **options)
    tuner.search(
        *task.train, validation_data=tuple(task.validation), epochs=2, verbose=0
    )
    trials = tuner.oracle.trials.values()
    assert {trial.status for trial in trials} == {"COMPLETED"}
    assert all(math.isfinite(trial.score) for trial in trials)
    assert tuner.get_best_models()[0].output_shape == (None, 1)


def test_a_classifier_of_ones_own_data():
    model = HyperRNN((None, 3), classes=4).build(keras_tuner.HyperParameters())
    assert model.output_shape == (None, 4)
    total = model.predict(np.ones((2, 5, 3)), verbose=0).sum(axis=1)
    np.testing.assert_allclose(total, 1, rtol=1e-5)
    assert model.loss == "sparse_categorical_crossentropy"


def test_a_regressor_of_ones_own_data():
    model = HyperRNN((5, 3), outputs=2).build(keras_tuner.HyperParameters())
    assert model.output_shape == (None, 2)
    assert model.loss == "mean_squared_error"


def test_the_whole_space_is_known_before_the_first_trial(tmp_path):
    """Hyperparameters of cells and layers that the defaults do not have, too."""
    hypermodel = HyperRNN((4, 2), cells=["gru", "leaky_rnn"], max_layers=3)
    tuner = keras_tuner.RandomSearch(
        hypermodel, hypermodel.objective, directory=tmp_path
    )
    space = tuner.oracle.get_space()
    assert {hp.name for hp in space.space} == {
        *("cell", "layers", "units_0", "units_1", "units_2"),
        *("dropout", "noise", "learning_rate", "clipnorm"),
        *("leaky_rnn/activation", "leaky_rnn/leak", "leaky_rnn/leak_trainable"),
    }
    space.values = {"cell": "gru", "layers": 2}
    assert space.is_active("units_1") and not space.is_active("units_2")
    assert not space.is_active("leaky_rnn/leak")


def test_choices_reach_the_model():
    hp = keras_tuner.HyperParameters()
    hp.values = {
        **{"cell": "leaky_rnn", "layers": 2, "units_0": 3, "units_1": 5},
        **{"dropout": 0.4, "learning_rate": 0.004, "clipnorm": 2.0, "noise": 0.05},
        **{"leaky_rnn/leak": 0.25, "leaky_rnn/leak_trainable": False},
    }
    model = HyperRNN((4, 2)).build(hp)
    first, second = (layer.cell for layer in model.layers if hasattr(layer, "cell"))
    assert (first.units, second.units) == (3, 5)
    assert (first.leak, first.leak_trainable) == (0.25, False)
    assert (first.dropout, second.dropout) == (0.0, 0.4)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.004)
    assert model.optimizer.clipnorm == 2.0
    assert model.layers[1].stddev == 0.05


def test_a_seed_determines_a_trial():
    """Equal hyperparameters and seeds give equal weights, others do not."""

    def weights(seed, dropout=0.2):
        hp = keras_tuner.HyperParameters()
        hp.values = {"units_0": 4, "dropout": dropout}
        model = HyperRNN((4, 2), seed=seed).build(hp)
        return np.concatenate([w.ravel() for w in model.get_weights()])

    reference = weights(1)
    np.testing.assert_array_equal(weights(1), reference)
    assert not np.array_equal(weights(2), reference)
    assert not np.array_equal(weights(1, dropout=0.3), reference)


@pytest.mark.any_backend
def test_executions_of_one_trial_differ(task, tmp_path):
    hypermodel = HyperRNN((4, 2), cells=["simple_rnn"], seed=0, **SMALL)
    scores = []

    class Recorder(keras_tuner.RandomSearch):
        def run_trial(self, *args, **kwargs):
            histories = super().run_trial(*args, **kwargs)
            scores.extend(history.history["val_loss"][0] for history in histories)
            return histories

    tuner = Recorder(
        hypermodel, "val_loss", max_trials=1, executions_per_trial=2, directory=tmp_path
    )
    tuner.search(*task.train, validation_data=tuple(task.validation), verbose=0)
    assert len(set(scores)) == 2


def test_the_learning_rate_falls_along_a_cosine(task):
    hypermodel = HyperRNN((4, 2), **SMALL)
    hp = keras_tuner.HyperParameters()
    history = hypermodel.fit(hp, hypermodel.build(hp), *task.train, epochs=4, verbose=0)
    rates = 0.01 * 0.5 * (1 + np.cos(np.pi * np.arange(4) / 4))
    np.testing.assert_allclose(history.history["learning_rate"], rates, rtol=1e-5)


def test_a_diverged_trial_is_worst_in_either_direction(task):
    hypermodel = HyperRNN(
        (4, 2),
        cells=["fragile_for_tests"],
        metrics=["mean_absolute_error", "accuracy"],
        **SMALL,
    )
    hp = keras_tuner.HyperParameters()
    result = hypermodel.fit(
        hp,
        hypermodel.build(hp),
        *task.train,
        validation_data=tuple(task.validation),
        epochs=3,
        verbose=0,
    )
    assert result["val_loss"] == result["mean_absolute_error"] == 1e30
    assert result["val_accuracy"] == result["accuracy"] == -1e30
    # It is not known which way is better: KerasTuner is to count it as failed.
    assert math.isnan(result["learning_rate"])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"cells": ["lstn"]}, "'lstn'.*Did you mean 'lstm'"),
        ({"cells": []}, "`cells` must be distinct"),
        ({"cells": ["gru", "gru"]}, "`cells` must be distinct"),
        ({"cells": ["gru", "GRU"]}, "`cells` must be distinct"),
        ({"classes": 1}, "`classes` must be at least 2, received 1"),
        ({"min_units": 9, "max_units": 8}, "min_units=9"),
        ({"max_layers": 0}, "max_layers=0"),
        ({"outputs": 0}, "outputs=0"),
        ({"max_noise": -0.1}, "`max_noise` must not be negative, received -0.1"),
        ({"input_shape": (4,)}, r"\(time, features\), received \(4,\)"),
    ],
)
def test_the_hypermodel_refuses(kwargs, message):
    with pytest.raises(ValueError, match=message):
        HyperRNN(**{"input_shape": (4, 2), **kwargs})


# --- a search ------------------------------------------------------------------------


def test_what_a_search_saves_is_what_it_found(task, tmp_path, capsys):
    with warnings.catch_warnings(record=True) as noise:
        warnings.simplefilter("always")
        result = tiny_search(task, tmp_path, trials=3)
    # Keras on TensorFlow, whatever it is that one trains.
    noise = [str(w.message) for w in noise if "__array__" not in str(w.message)]
    assert not noise and capsys.readouterr() == ("", "")

    rows = result.leaderboard
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert sorted(row["trial"] for row in rows) == [1, 2, 3]
    assert [row["score"] for row in rows] == sorted(row["score"] for row in rows)
    assert rows[0]["parameters"] == result.model.count_params()
    assert min(result.history["val_loss"]) == pytest.approx(rows[0]["score"])

    board = json.loads((tmp_path / "leaderboard.json").read_text())
    assert board == {"objective": "val_loss", "test": result.test, "trials": rows}
    history = json.loads((tmp_path / "history.json").read_text())
    assert history == result.history
    values = json.loads((tmp_path / "best_hyperparameters.json").read_text())
    assert values == result.hyperparameters == rows[0]["hyperparameters"]

    saved = keras.models.load_model(tmp_path / "best_model.keras")
    predicted = saved.predict(task.test.x, verbose=0)
    np.testing.assert_allclose(
        predicted, result.model.predict(task.test.x, verbose=0), rtol=1e-5
    )
    error = np.mean((predicted - task.test.y) ** 2)
    assert result.test["loss"] == pytest.approx(error, rel=1e-4)
    valid = np.mean(
        (saved.predict(task.validation.x, verbose=0) - task.validation.y) ** 2
    )
    assert rows[0]["score"] == pytest.approx(valid, rel=1e-4)

    hp = keras_tuner.HyperParameters()
    hp.values = values
    hypermodel = HyperRNN.for_task(task, cells=["simple_rnn"], **SMALL)
    assert hypermodel.build(hp).count_params() == result.model.count_params()
    assert str(result.table()).count("simple_rnn") == 3


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("tuner", "trials"), [("random", 3), ("bayesian", 6), ("hyperband", None)]
)
def test_a_resumed_search_is_as_one_never_stopped(task, tmp_path, tuner, trials):
    options = {"tuner": tuner, "trials": trials, "seed": 5, "max_layers": 1}
    whole = tiny_search(task, tmp_path / "whole", **options)
    stop = max(2, len(whole.leaderboard) - 1)
    with pytest.raises(KeyboardInterrupt):
        tiny_search(task, tmp_path / "parts", progress=stop_in(stop), **options)
    # As a process leaves them that is killed while KerasTuner writes.
    for path in (tmp_path / "parts" / "trials").rglob("*.json"):
        if path.name in ("oracle.json", "trial.json"):
            path.write_text(path.read_text()[:-20])
    run = []
    parts = tiny_search(
        task, tmp_path / "parts", progress=lambda event: run.append(event), **options
    )
    assert {event.trial for event in run} == set(
        range(stop, len(whole.leaderboard) + 1)
    )
    assert timeless(parts.leaderboard) == timeless(whole.leaderboard)
    assert parts.test == whole.test
    assert parts.history == whole.history


@pytest.mark.any_backend
@pytest.mark.usefixtures("seeds_as_stated")  # The killed process has them.
def test_a_killed_search_goes_on(task, tmp_path):
    program = (
        "import keras_rnnx\n"
        "from keras_rnnx.datasets import load_task\n"
        "with keras_rnnx.engine.force('step'):\n"
        f"    keras_rnnx.tuner.search(load_task('adding', **{TINY}), ['simple_rnn'],\n"
        f"        directory={str(tmp_path / 'killed')!r}, trials=50, max_epochs=2,\n"
        f"        batch_size=16, tuner='random', **{SMALL})\n"
    )
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
    )
    journal = tmp_path / "killed" / "search.json"
    deadline = time.monotonic() + 120
    try:
        while not (journal.exists() and json.loads(journal.read_text())["trials"]):
            assert process.poll() is None, process.stderr.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
    done = len(json.loads(journal.read_text())["trials"])
    run = set()
    killed = tiny_search(
        task,
        tmp_path / "killed",
        trials=done + 1,
        progress=lambda event: run.add(event.trial),
    )
    assert run == {done + 1}
    whole = tiny_search(task, tmp_path / "whole", trials=done + 1)
    assert timeless(killed.leaderboard) == timeless(whole.leaderboard)


@pytest.mark.any_backend
def test_a_finished_search_reports_and_more_trials_go_on(task, tmp_path):
    run = []

    def progress(event):
        run.append(event.trial)

    first = tiny_search(task, tmp_path, trials=2)
    again = tiny_search(task, tmp_path, trials=2, progress=progress)
    assert not run
    assert again.leaderboard == first.leaderboard
    assert again.test == first.test
    more = tiny_search(task, tmp_path, trials=3, progress=progress)
    assert set(run) == {3}
    kept = sorted(more.leaderboard, key=lambda row: row["trial"])[:2]
    before = sorted(first.leaderboard, key=lambda row: row["trial"])
    assert [{**row, "rank": 0} for row in kept] == [
        {**row, "rank": 0} for row in before
    ]


@pytest.fixture(scope="module")
def begun(task, tmp_path_factory):
    """The directory of a search that was stopped in its first trial."""
    directory = tmp_path_factory.mktemp("begun")
    with pytest.raises(KeyboardInterrupt):
        tiny_search(task, directory, progress=stop_in(1))
    return directory


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"max_units": 8}, "space"),
        ({"cells": ("gru",)}, "space"),
        ({"max_epochs": 3}, r"max_epochs \(2 there, 3 now\)"),
        ({"seed": 9}, r"seed \(0 there, 9 now\)"),
        ({"tuner": "bayesian"}, 'tuner \\("random" there, "bayesian" now'),
        ({"batch_size": 8}, "batch_size"),
        ({"task": load_task("adding", **{**TINY, "length": 5})}, "task"),
        ({"task": load_task("adding", **TINY, seed=1)}, "task"),
    ],
)
def test_another_search_does_not_mix_with_the_old(begun, task, change, named):
    with pytest.raises(SearchError, match=f"differs in .*{named}"):
        tiny_search(**{"task": task, "directory": begun, **change})


def test_a_journal_that_is_none_is_named(task, tmp_path):
    (tmp_path / "search.json").write_text('{"signature": 1')
    with pytest.raises(SearchError, match="search.json is not the journal of a search"):
        tiny_search(task, tmp_path)


@pytest.mark.any_backend
@pytest.mark.parametrize("tuner", ["random", "bayesian"])
def test_diverged_trials_neither_abort_nor_win(task, tmp_path, tuner):
    result = tiny_search(
        task,
        tmp_path,
        cells=["fragile_for_tests"],
        trials=7,
        tuner=tuner,
        max_epochs=1,
        max_layers=1,
        seed=2,
    )
    for row in result.leaderboard:
        broken = row["hyperparameters"]["fragile_for_tests/broken"]
        assert row["status"] == ("diverged" if broken else "completed")
        assert (row["score"] is None) == broken
    statuses = [row["status"] for row in result.leaderboard]
    assert statuses == sorted(statuses) and len(set(statuses)) == 2
    assert math.isfinite(result.test["loss"])


def test_nothing_but_divergence_is_an_error(task, tmp_path):
    with pytest.raises(SearchError, match="None of 1 trials has a score.*diverged"):
        tiny_search(
            task, tmp_path, cells=["fragile_for_tests"], trials=1, tuner="bayesian"
        )


@pytest.mark.any_backend
def test_failing_trials_are_an_error_that_says_why(task, tmp_path, monkeypatch):
    def fit(self, *args, **kwargs):
        raise OverflowError("out of numbers")

    monkeypatch.setattr(HyperRNN, "fit", fit)
    with pytest.raises(SearchError, match="3 trials in a row.*out of numbers"):
        tiny_search(task, tmp_path, trials=5)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"task": "addign"}, "'addign'.*Did you mean 'adding'"),
        ({"cells": ["simple_rn"]}, "'simple_rn'.*Did you mean 'simple_rnn'"),
        ({"tuner": "bayes"}, "'bayes'.*Did you mean 'bayesian'"),
        ({"trials": 0}, "`trials` must be an integer of at least 1, received 0"),
        ({"max_epochs": 1.5}, "`max_epochs` .* received 1.5"),
        ({"seed": -1}, "`seed` .* received -1"),
        ({"batch_size": True}, "`batch_size` .* received True"),
    ],
)
def test_a_search_refuses_before_it_begins(task, tmp_path, kwargs, message):
    directory = tmp_path / "search"
    with pytest.raises(ValueError, match=message):
        tiny_search(**{"task": task, "directory": directory, **kwargs})
    assert not directory.exists()


@pytest.mark.any_backend
@pytest.mark.parametrize("module", ["keras_tuner", "six"])
def test_without_keras_tuner_the_extra_is_named(module):
    program = (
        "import sys, keras_rnnx\n"
        f"sys.modules[{module!r}] = None\n"
        "try:\n    keras_rnnx.tuner\n"
        "except ImportError as error:\n    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert f"needs {module}: pip install 'keras-rnnx[tuner]'" in run.stdout
