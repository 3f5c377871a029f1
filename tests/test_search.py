"""Searches over small data: what they keep, how they go on, and what they refuse."""

import gc
import json
import math
import os
import subprocess
import sys
import warnings
import weakref
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest
from small_searches import adding

from keras_rnnx.datasets import PaddedBatches, Task
from keras_rnnx.tuner import HyperRNN, SearchError, recurrent_block, search
from keras_rnnx.tuner._trials import garbage
from keras_rnnx.tuner._trials.data import TaskData

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.usefixtures("eager_trials")


@pytest.fixture(scope="module")
def task():
    return adding()


def tiny_search(task, directory, **kwargs):
    """A search that takes about a second a trial."""
    defaults = {"cells": ["simple_rnn"], "trials": 2, "max_epochs": 2, "finalists": 0}
    defaults |= {"preset": "quick", "batch_size": 16, "stopping": None}
    space = {"units": (2, 4), **kwargs.pop("space", {})}
    if "hypermodel" not in kwargs:
        defaults["space"] = space
    return search(task, directory=directory, **{**defaults, **kwargs})


def timeless(leaderboard):
    """A leaderboard without what differs between equal searches."""
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "began")}
        for row in leaderboard
    ]


def stop_in(trial, epoch=1):
    """A progress function that interrupts, as Ctrl-C would."""

    def progress(event):
        if (event.trial, event.epoch) == (trial, epoch):
            raise KeyboardInterrupt

    return progress


def test_what_a_search_saves_is_what_it_found(task, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    with warnings.catch_warnings(record=True) as noise:
        warnings.simplefilter("always")
        result = tiny_search(task, tmp_path, trials=3, finalists=2, runs=2)
    # Keras on TensorFlow, whatever it is that one trains.
    noise = [str(w.message) for w in noise if "__array__" not in str(w.message)]
    assert not noise and capsys.readouterr() == ("", "")

    rows = result.leaderboard
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert sorted(row["trial"] for row in rows) == [1, 2, 3]
    means = [row["mean"] for row in rows[:2]]
    assert means == sorted(means) and rows[2]["mean"] is None
    for row in rows[:2]:
        assert len(row["seeds"]) == 2 and row["score"] == row["seeds"][0]
        assert row["mean"] == pytest.approx(np.mean(row["seeds"]))
    assert rows[0]["parameters"] == result.model.count_params()
    assert min(result.history["val_loss"]) == min(rows[0]["seeds"])

    board = json.loads((tmp_path / "leaderboard.json").read_text())
    assert board["test"] == result.test and len(board["test_runs"]) == 2
    kept = [{k: v for k, v in row.items() if k != "history"} for row in board["trials"]]
    assert kept == rows and board["objective"] == "val_loss"
    history = json.loads((tmp_path / "history.json").read_text())
    assert history == result.history
    values = json.loads((tmp_path / "best_hyperparameters.json").read_text())
    assert values == result.hyperparameters == rows[0]["hyperparameters"]

    saved = keras.models.load_model(tmp_path / "best_model.keras")
    predicted = saved.predict(task.test.x, verbose=0)
    error = np.mean((predicted - task.test.y) ** 2)
    assert result.test["loss"] == pytest.approx(error, rel=1e-4)
    valid = np.mean(
        (saved.predict(task.validation.x, verbose=0) - task.validation.y) ** 2
    )
    assert min(rows[0]["seeds"]) == pytest.approx(valid, rel=1e-4)
    assert str(result.table()).count("simple_rnn") == 3
    assert [row["trial"] for row in result.pareto()][-1] in (1, 2, 3)
    with pytest.raises(ValueError, match="'step_ms' was not measured"):
        result.pareto("step_ms")


def test_the_code_makes_the_model_and_its_score(task, tmp_path):
    """Run as it stands: equal weights and, with the seed, an equal score."""
    result = tiny_search(
        task, tmp_path, cells=["gru", "leaky_rnn"], preset="thorough", trials=4
    )
    code = (tmp_path / "best_model.py").read_text()
    assert code == result.code
    code = code.replace(
        "history = model.fit(", "model.run_eagerly = True\nhistory = model.fit("
    )
    names = {}
    exec(compile(code, "best_model.py", "exec"), names)
    assert names["model"].count_params() == result.model.count_params()
    scores = names["history"].history["val_loss"]
    assert min(scores) == pytest.approx(result.leaderboard[0]["score"], rel=1e-6)
    for one, other in zip(names["model"].get_weights(), result.model.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("tuner", "trials"), [("random", 3), ("bayesian", 12), ("tpe", 12)]
)
def test_a_resumed_search_is_as_one_never_stopped(task, tmp_path, tuner, trials):
    options = {
        "tuner": tuner,
        "trials": trials,
        "seed": 5,
        "max_epochs": 1 + (trials < 9),
    }
    whole = tiny_search(task, tmp_path / "whole", **options)
    stop = len(whole.leaderboard) - 1
    with pytest.raises(KeyboardInterrupt):
        tiny_search(task, tmp_path / "parts", progress=stop_in(stop), **options)
    run = []
    parts = tiny_search(task, tmp_path / "parts", progress=run.append, **options)
    assert {event.trial for event in run} == {stop, stop + 1}
    assert timeless(parts.leaderboard) == timeless(whole.leaderboard)
    assert parts.test == whole.test
    assert parts.history == whole.history


@pytest.mark.any_backend
def test_a_finished_search_reports_and_goes_on_with_more(task, tmp_path):
    """More trials, longer ones, and a budget of time are the same search."""
    run = []

    def progress(event):
        run.append(event.trial)

    first = tiny_search(task, tmp_path, trials=2)
    again = tiny_search(task, tmp_path, trials=2, progress=progress)
    assert not run
    assert again.leaderboard == first.leaderboard
    assert again.test == first.test
    more = tiny_search(task, tmp_path, trials=3, max_epochs=3, progress=progress)
    assert set(run) == {3} and len(run) == 4
    kept = sorted(more.leaderboard, key=lambda row: row["trial"])[:2]
    before = sorted(first.leaderboard, key=lambda row: row["trial"])
    assert [{**row, "rank": 0} for row in kept] == [
        {**row, "rank": 0} for row in before
    ]
    over = tiny_search(task, tmp_path, trials=9, budget=1e-3, progress=progress)
    assert len(over.leaderboard) == 3


@pytest.mark.any_backend
def test_other_spaces_begin_beside_and_other_searches_are_refused(task, tmp_path):
    place = tmp_path / "held"
    first = tiny_search(task, place, trials=1)
    with pytest.warns(UserWarning, match="held holds a search over another space.*-2"):
        other = tiny_search(task, place, trials=1, space={"units": (2, 5)})
    assert other.directory == tmp_path / "held-2" and first.directory == place
    run = []
    with pytest.warns(UserWarning, match="held-2"):
        tiny_search(task, place, trials=1, space={"units": (2, 5)}, progress=run.append)
    assert not run
    for change, named in (
        ({"seed": 9}, r"seed \(0 there, 9 now\)"),
        ({"tuner": "bayesian"}, 'tuner \\("random" there, "bayesian" now'),
        ({"stopping": "median"}, 'stopping \\(null there, "median" now'),
        ({"batch_size": 8}, "batch_size"),
        ({"objective": "val_mean_absolute_error"}, "objective"),
    ):
        with pytest.raises(SearchError, match=f"differs in .*{named}"):
            tiny_search(task, place, **change)
    for changed in ({"length": 5}, {"seed": 1}):
        with pytest.raises(SearchError, match="differs in .*data"):
            tiny_search(adding(**changed), place)


@pytest.mark.any_backend
def test_a_directory_in_use_is_refused(task, tmp_path):
    def progress(event):
        with pytest.raises(SearchError, match=f"in use by process {os.getpid()} on "):
            tiny_search(task, tmp_path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny_search(task, tmp_path, progress=progress)


@pytest.mark.any_backend
def test_diverged_trials_neither_abort_nor_win(task, tmp_path):
    """A third of them and more, one after the other."""
    result = tiny_search(
        task,
        tmp_path,
        cells=["sometimes_broken"],
        preset="standard",
        space={
            "layers": 1,
            "bidirectional": None,
            "pooling": None,
            "regularizer": None,
        },
        trials=8,
        max_epochs=1,
        seed=2,
    )
    for row in result.leaderboard:
        broken = row["hyperparameters"]["sometimes_broken/broken"]
        assert row["status"] == ("diverged" if broken else "completed")
        assert (row["score"] is None) == broken
        assert not broken or "not finite after epoch 1" in row["reason"]
    statuses = [row["status"] for row in result.leaderboard]
    assert statuses == sorted(statuses) and len(set(statuses)) == 2
    assert math.isfinite(result.test["loss"])


@pytest.mark.any_backend
def test_what_diverges_later_cannot_win_with_its_first_epochs(task, tmp_path):
    """Of the hypermodel here, and of a build function: its score is that of before."""

    class Break(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                weights = self.model.get_weights()
                self.model.set_weights([w * np.inf for w in weights])

    def build(hp):
        model = keras.Sequential([keras.Input((4, 2)), keras.layers.SimpleRNN(2)])
        model.add(keras.layers.Dense(1))
        model.compile("adam", "mse", run_eagerly=True)
        return model

    for number, own in enumerate(({}, {"hypermodel": build, "preset": "quick"})):
        place = tmp_path / str(number)
        with pytest.raises(
            SearchError, match="1 trials can win: .*diverged with: .*val"
        ):
            tiny_search(
                task,
                place,
                trials=1,
                max_epochs=6,
                callbacks=lambda: [Break()],
                **own,
            )
        (held,) = json.loads((place / "search.json").read_text())["trials"].values()
        assert held["status"] == "diverged" and held["best_epoch"] in (1, 2)
        assert held["reason"].endswith("not finite after epoch 3")
        assert math.isfinite(held["score"])


@pytest.mark.any_backend
def test_an_objective_that_no_epoch_logs(task, tmp_path):
    """What `fit` of a hypermodel gives counts, beside the epochs that it ran."""

    class Own(keras_tuner.HyperModel):
        def build(self, hp):
            model = keras.Sequential([keras.Input((4, 2)), keras.layers.SimpleRNN(2)])
            model.add(keras.layers.Dense(1))
            model.compile("adam", "mse", metrics=["mae"], run_eagerly=True)
            hp.Int("cost", 3, 9)
            return model

        def fit(self, hp, model, validation_data, **kwargs):
            model.fit(**kwargs)
            return float(hp.get("cost"))

    result = tiny_search(task, tmp_path, hypermodel=Own(), preset="quick", trials=3)
    for row in result.leaderboard:
        assert row["status"] == "completed"
        assert row["score"] == row["hyperparameters"]["cost"]


@pytest.mark.any_backend
def test_nothing_but_divergence_is_an_error(task, tmp_path):
    space = {"sometimes_broken/broken": True}
    with pytest.raises(SearchError, match="None of 1 trials can win.*diverged with"):
        tiny_search(
            task,
            tmp_path,
            cells=["sometimes_broken"],
            space=space,
            preset="standard",
            trials=1,
        )


@pytest.mark.any_backend
def test_failing_trials_are_an_error_that_says_why(task, tmp_path, monkeypatch):
    def fit(self, *args, **kwargs):
        raise OverflowError("out of\n numbers")

    monkeypatch.setattr(HyperRNN, "fit", fit)
    message = "3 trials in a row failed, the last with: OverflowError: out of numbers"
    with pytest.raises(SearchError, match=message):
        tiny_search(task, tmp_path, trials=5)


@pytest.mark.any_backend
def test_a_full_disk_pauses(task, tmp_path, monkeypatch):
    """Nothing has failed, and the next call goes on."""
    save = keras.Model.save_weights
    calls = []

    def full(self, path, *args, **kwargs):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device", str(path))
        return save(self, path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save_weights", full)
        with pytest.raises(SearchError, match="is paused: .*No space left on device"):
            tiny_search(task, tmp_path, trials=3)
    result = tiny_search(task, tmp_path, trials=3)
    whole = tiny_search(task, tmp_path / "whole", trials=3)
    assert timeless(result.leaderboard) == timeless(whole.leaderboard)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"x": "addign"}, ValueError, "'addign'.*Did you mean 'adding'"),
        ({"cells": ["simple_rn"]}, ValueError, "'simple_rn'.*Did you mean 'simple_rnn"),
        ({"tuner": "bayes"}, ValueError, "'bayes'.*Did you mean 'bayesian'"),
        ({"stopping": "mean"}, ValueError, "rule of `stopping`: received 'mean'"),
        ({"trials": 0}, ValueError, "`trials` must be an integer of at least 1"),
        ({"max_epochs": 1.5}, ValueError, "`max_epochs` .* received 1.5"),
        ({"seed": -1}, ValueError, "`seed` .* received -1"),
        ({"batch_size": True}, ValueError, "`batch_size` .* received True"),
        ({"budget": 0}, ValueError, "`budget` must be positive.*received 0"),
        ({"workers": -1}, ValueError, "`workers` .* received -1"),
        ({"max_step_ms": "x"}, ValueError, "max_step_ms"),
        ({"y": np.ones(3)}, ValueError, "A task has its own parts.*leave out `y`"),
        ({"groups": [1]}, ValueError, "`groups` need `folds`"),
        (
            {"objective": "val_los"},
            ValueError,
            "whether higher values of 'val_los' are better",
        ),
        (
            {"hypermodel": 3},
            ValueError,
            "`hypermodel` must be a keras_tuner.HyperModel",
        ),
        (
            {"objective": keras_tuner.Objective("val_los", "min")},
            SearchError,
            "No metric gives the objective 'val_los'. The model logs 'loss'",
        ),
    ],
)
def test_a_search_refuses_before_the_first_trial(
    task, tmp_path, kwargs, error, message
):
    directory = tmp_path / "search"
    with pytest.raises(error, match=message):
        tiny_search(**{"task": kwargs.pop("x", task), "directory": directory, **kwargs})
    assert not list(directory.glob("trials/*"))


@pytest.mark.any_backend
def test_data_that_do_not_fit_are_named_before_the_first_trial(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 5, 2)).astype("float32")
    labels = np.arange(40) % 3
    batches = PaddedBatches(x, labels, 8)
    wrong = HyperRNN((5, 3), classes=3, preset="quick")
    with pytest.raises(SearchError, match="can't be evaluated on the first batch: "):
        search(
            batches,
            batches,
            hypermodel=wrong,
            objective="val_accuracy",
            directory=tmp_path / "shape",
        )
    few = HyperRNN((5, 2), classes=2, preset="quick")
    with pytest.raises(SearchError, match="Labels must be from 0 to 1 with 2 classes"):
        search(
            batches,
            batches,
            hypermodel=few,
            objective="val_accuracy",
            directory=tmp_path / "labels",
        )
    with pytest.raises(ValueError, match="needs other batches for validation"):
        search(batches, directory=tmp_path / "alone")
    with pytest.raises(ValueError, match="are made already: leave out `batch_size`"):
        search(batches, batches, batch_size=3, directory=tmp_path / "size")
    both = {"validation_data": (x, labels), "validation_split": 0.2}
    with pytest.raises(ValueError, match="received validation_split=0.2 too"):
        search(x, labels, directory=tmp_path / "both", **both)


@pytest.mark.any_backend
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
def test_every_tuner_of_keras_tuner_runs_it(task, tmp_path, make, options):
    hypermodel = HyperRNN((4, 2), cells=["simple_rnn", "leaky_rnn"])
    objective = hypermodel.objective
    tuner = make(hypermodel, objective, directory=tmp_path, seed=1, **options)
    tuner.search(
        *task.train, validation_data=tuple(task.validation), epochs=2, verbose=0
    )
    trials = tuner.oracle.trials.values()
    assert {trial.status for trial in trials} == {"COMPLETED"}
    assert all(math.isfinite(trial.score) for trial in trials)
    assert tuner.get_best_models()[0].output_shape == (None, 1)


# --- kinds of data ----------------------------------------------------------------


@pytest.mark.any_backend
def test_sequences_as_arrays(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5, 2))
    y = (x.sum((1, 2)) > 0).astype(int)
    result = tiny_search(x, tmp_path, y=y, validation_split=0.25, trials=1)
    assert result.objective == "val_accuracy" and set(result.test) == {
        "loss",
        "accuracy",
    }
    values = tiny_search(
        x,
        tmp_path / "values",
        y=x[:, 0],
        validation_data=(x[:9], x[:9, 0]),
        trials=1,
    )
    assert values.objective == "val_loss" and values.model.output_shape == (None, 2)


@pytest.mark.any_backend
def test_batches_of_ones_own(tmp_path):
    """A PyDataset, and a DataLoader of torch, say what they hold in one pass."""
    rng = np.random.default_rng(0)
    ragged = [rng.normal(size=(n, 2)) for n in rng.integers(2, 6, 24)]
    batches = PaddedBatches(ragged, np.arange(24) % 3, 8)
    result = tiny_search(
        batches, tmp_path / "keras", y=batches, trials=1, batch_size=None
    )
    assert result.model.output_shape == (None, 3) and result.test is None
    torch = pytest.importorskip("torch")
    x = torch.tensor(rng.integers(1, 7, (24, 5)))
    dataset = torch.utils.data.TensorDataset(x, torch.arange(24) % 2)
    loader = torch.utils.data.DataLoader(dataset, batch_size=8)
    result = tiny_search(
        loader,
        tmp_path / "torch",
        y=loader,
        test_data=loader,
        trials=1,
        batch_size=None,
    )
    assert result.model.input_shape == (None, 5) and "accuracy" in result.test


@pytest.mark.any_backend
def test_a_build_function_of_ones_own(task, tmp_path):
    def build(hp):
        inputs = keras.Input((4, 2))
        x = recurrent_block(hp, inputs, cells=["simple_rnn"], preset="quick")
        model = keras.Model(inputs, keras.layers.Dense(1)(x))
        rate = hp.Float("rate", 1e-3, 1e-2, sampling="log")
        model.compile(keras.optimizers.Adam(rate), "mse", run_eagerly=True)
        return model

    def search_on(directory, trials):
        return tiny_search(
            task, directory, hypermodel=build, preset="quick", trials=trials
        )

    result = search_on(tmp_path / "whole", 3)
    assert len({row["score"] for row in result.leaderboard}) == 3
    assert set(result.hyperparameters) == {
        *("units", "dropout", "rate"),
    }
    assert result.code is None and result.leaderboard[0]["cell"] is None
    with pytest.raises(ValueError, match="leave out `params`"):
        tiny_search(task, tmp_path / "no", hypermodel=build, params=99)


@pytest.mark.any_backend
def test_folds(tmp_path):
    """The score is the mean over the parts."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 4, 1)).astype("float32")
    task = Task.from_arrays(x, x.sum(1), validation=8, test=8)
    result = tiny_search(task, tmp_path, folds=3, trials=1, max_epochs=2)
    (row,) = result.leaderboard
    assert row["epochs"] == 3
    assert row["score"] == result.history["val_loss"][-1]
    assert result.history["val_loss"][0] != row["score"]


@pytest.mark.any_backend
def test_folds_cut_as_they_should():
    """Every sequence is in one validation part; groups and time are kept."""
    x = np.arange(60.0)[:, None, None] * np.ones((1, 4, 1))
    y = np.arange(60.0)[:, None]
    task = Task.from_arrays(x, y, validation=10, test=10)
    known = np.concatenate([task.train.y, task.validation.y])[:, 0]
    groups = known // 5
    parts = TaskData(task, folds=3, groups=groups)._tasks
    found = np.concatenate([one.validation.y[:, 0] for one in parts])
    assert sorted(found) == sorted(known)
    for one in parts:
        assert not {*(one.train.y[:, 0] // 5)} & {*(one.validation.y[:, 0] // 5)}
        assert len(one.train.x) + len(one.validation.x) == len(known)
    series = Task.from_series(np.arange(90.0), 6, 4)
    for one in TaskData(series, folds=3)._tasks:
        assert one.train.x.max() < one.validation.y.min()
    labels = Task.from_arrays(x, np.arange(60) % 3, validation=10, test=10)
    for one in TaskData(labels, folds=5)._tasks:
        assert np.ptp(np.bincount(one.validation.y)) <= 1
    text = Task.from_text("to be or not to be " * 20)
    with pytest.raises(ValueError, match="a language model has one text"):
        TaskData(text, folds=2)


@pytest.mark.any_backend
def test_callbacks_of_ones_own(task, tmp_path):
    made = []

    def callbacks():
        made.append(keras.callbacks.History())
        return [made[-1]]

    tiny_search(task, tmp_path, callbacks=callbacks, trials=2)
    assert [len(one.history["val_loss"]) for one in made] == [2, 2]


@pytest.mark.any_backend
def test_limits_are_measured_before_training(task, tmp_path):
    """What is measured is in the leaderboard, and leaves the model as it was."""
    free = tiny_search(task, tmp_path / "free", trials=1)
    result = tiny_search(
        task,
        tmp_path / "limits",
        trials=1,
        max_params=100,
        max_step_ms=1e9,
        max_latency_ms=1e9,
    )
    row = result.leaderboard[0]
    assert 0 < row["step_ms"] < 1e6 and 0 < row["latency_ms"] < 1e6
    assert row["score"] == free.leaderboard[0]["score"]
    slow = "None of 2 trials can win: .*stopped with: step_ms .* is more than 1e-06"
    with pytest.raises(SearchError, match=slow):
        tiny_search(task, tmp_path / "slow", max_step_ms=1e-6)
    with pytest.raises(SearchError, match="more than 5 weights"):
        tiny_search(task, tmp_path / "small", max_params=5)


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


@pytest.mark.any_backend
def test_garbage_of_trials_is_collected_without_what_was_there_before(task, tmp_path):
    frozen, alive = [], []

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            frozen.append(gc.get_freeze_count())
            # Models of earlier trials are gone when the next one is trained.
            assert not [model for model in alive if model() is not None]
            alive.append(weakref.ref(self.model))

    gc.unfreeze()
    tiny_search(task, tmp_path, callbacks=lambda: [Look()], trials=3)
    assert len(frozen) == 3 and min(frozen) > 0 and gc.get_freeze_count() == 0
    # A program that has frozen its own objects keeps them so.
    gc.freeze()
    own = gc.get_freeze_count()
    with garbage.of_trials_alone():
        pass
    assert gc.get_freeze_count() >= own
