"""Searches over tasks of every kind."""

import keras
import keras_tuner
import numpy as np
import pytest

from keras_rnnx import tuner
from keras_rnnx.datasets import KINDS, Task
from keras_rnnx.tuner._space import arguments
from keras_rnnx.tuner._trials.sources import data_for

RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(2, 7, 40)
RAGGED = [RNG.normal(size=(n, 3)) for n in LENGTHS]
TEXTS = [" ".join("abcd"[k] for k in RNG.integers(0, 4, n)) for n in LENGTHS]
FRAMES = [(RNG.random((n, 5)) < 0.5).astype("uint8") for n in LENGTHS + 1]
TAGS = [RNG.integers(0, 3, n) for n in LENGTHS]
LABELS = [RNG.integers(1, 4, (n + 1) // 2) for n in LENGTHS]


def tasks():
    classes = np.arange(40) % 2
    return {
        "ragged": Task.from_arrays(RAGGED, classes),
        "texts": Task.from_arrays(TEXTS, classes),
        "values": Task.from_arrays(RAGGED, RNG.normal(size=(40, 2))),
        "tagging": Task.from_arrays(RAGGED, TAGS),
        "next_step": Task.from_arrays(FRAMES, kind="next_step"),
        "forecasting": Task.from_series(RNG.normal(size=(90, 2)), 6, 4),
        "language_model": Task.from_text("to be or not to be, that is it. " * 40),
        "sequence_to_sequence": Task.from_arrays(
            TEXTS, TEXTS, kind="sequence_to_sequence"
        ),
        "ctc": Task.from_arrays(RAGGED, LABELS, kind="ctc"),
    }


SMALL = {"units": 4, "batch_size": 2, "steps": 10}


@pytest.mark.any_backend
def test_there_is_one_of_each_kind():
    assert {task.kind for task in tasks().values()} == set(KINDS)


@pytest.mark.cases(3)
@pytest.mark.parametrize("name", sorted(tasks()))
def test_a_model_of_each_kind_is_trained(name):
    """The objective is logged, and is a number."""
    task = tasks()[name]
    space = {k: v for k, v in SMALL.items() if k != "steps" or name == "language_model"}
    model = tuner.HyperRNN.for_task(task, cells=["gru"], space=space)
    data = data_for(task)
    hp = keras_tuner.HyperParameters()
    built = model.build(hp)
    arguments = data.fit_arguments(model.space.draw(hp), 0)
    found = model.fit(hp, built, **arguments, verbose=0)
    assert np.isfinite(found[task.objective.name])


@pytest.mark.any_backend
@pytest.mark.parametrize("name", sorted(tasks()))
def test_a_whole_search_over_each_kind(name, tmp_path):
    """From the data to the test, in two trials, and its code runs."""
    task = tasks()[name]
    space = {k: v for k, v in SMALL.items() if k != "steps" or name == "language_model"}
    found = tuner.search(
        task,
        cells=["gru", "min_gru"],
        space=space,
        trials=2,
        max_epochs=1,
        finalists=0,
        directory=tmp_path,
    )
    assert {row["cell"] for row in found.leaderboard} == {"gru", "min_gru"}
    assert all(row["status"] == "completed" for row in found.leaderboard)
    assert all(np.isfinite(value) for value in found.test.values())
    names = {"task": task}
    lines = found.code.split("\n")
    written = "\n".join(line for line in lines if not line.startswith("# `task`"))
    exec(compile(written, "best_model.py", "exec"), names)
    best = found.leaderboard[0]
    assert names["model"].count_params() == best["parameters"]
    scores = names["history"].history[found.objective]
    assert scores[-1] == pytest.approx(best["score"], rel=1e-4)


def test_padding_changes_nothing_of_a_prediction():
    task = tasks()["ragged"]
    model = tuner.HyperRNN.for_task(task, cells=["gru"], space=SMALL | {"steps": None})
    built = model.build(keras_tuner.HyperParameters())
    batch, *_ = task.batches("test", 4)[0]
    predicted = built.predict(batch, verbose=0)[0]
    alone = built.predict(np.asarray(task.test.x[0])[None], verbose=0)[0]
    np.testing.assert_allclose(predicted, alone, atol=1e-5)


@pytest.mark.any_backend
def test_a_search_over_sequences_of_many_lengths_is_resumed(tmp_path):
    """A trial is what it would be without the ones before, in the order of its data."""
    task = tasks()["ragged"]

    def search(trials, name):
        found = tuner.search(
            task,
            cells=["gru"],
            trials=trials,
            max_epochs=2,
            finalists=0,
            space={"units": (4, 8)},
            directory=tmp_path / name,
        )
        rows = sorted(found.leaderboard, key=lambda row: row["trial"])
        return [(row["score"], row["units"]) for row in rows]

    whole = search(3, "whole")
    assert search(1, "resumed") == whole[:1]
    assert search(3, "resumed") == whole


@pytest.mark.any_backend
def test_optimizers_are_those_of_their_names():
    for name, cls in arguments.OPTIMIZERS.items():
        settings = {"optimizer": name, "learning_rate": 0.01, "global_clipnorm": 2.0}
        made = arguments.optimizer(settings)
        assert isinstance(made, cls) and isinstance(made, keras.optimizers.Optimizer)
        assert made.global_clipnorm == 2.0
