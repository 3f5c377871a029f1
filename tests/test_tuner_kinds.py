"""Searches over tasks of every kind that there is a search for."""

import keras_tuner
import numpy as np
import pytest

from keras_rnnx import tuner
from keras_rnnx.datasets import Task

RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(2, 7, 40)
RAGGED = [RNG.normal(size=(n, 3)) for n in LENGTHS]
TEXTS = [" ".join("abcd"[k] for k in RNG.integers(0, 4, n)) for n in LENGTHS]
FRAMES = [(RNG.random((n, 5)) < 0.5).astype("uint8") for n in LENGTHS + 1]
TAGS = [RNG.integers(0, 3, n) for n in LENGTHS]


def tasks():
    classes = np.arange(40) % 2
    return {
        "ragged": Task.from_arrays(RAGGED, classes),
        "texts": Task.from_arrays(TEXTS, classes),
        "values": Task.from_arrays(RAGGED, RNG.normal(size=(40, 2))),
        "tagging": Task.from_arrays(RAGGED, TAGS),
        "next_step": Task.from_arrays(FRAMES, kind="next_step"),
        "forecasting": Task.from_series(RNG.normal(size=(90, 2)), 6, 4),
    }


@pytest.mark.parametrize("name", sorted(tasks()))
def test_a_model_of_each_kind_is_built_and_trained(name):
    """The objective is logged, and padding changes nothing of a prediction."""
    task = tasks()[name]
    model = tuner.HyperRNN.for_task(task, cells=["gru"], min_units=4, max_units=4)
    hp = keras_tuner.HyperParameters()
    built = model.build(hp)
    history = model.fit(
        hp,
        built,
        task.batches("train", 8),
        validation_data=task.batches("validation", 8),
        verbose=0,
    )
    assert np.isfinite(history.history[task.objective.name]).all()
    batch, target, *_ = task.batches("test", 8)[0]
    predicted = built.predict(batch, verbose=0)
    assert predicted.shape == np.shape(target) + (
        (task.classes,) if task.classes else ()
    )
    if name == "forecasting":
        return
    alone = built.predict(np.asarray(task.test.x[0])[None], verbose=0)[0]
    one = (
        predicted[0]
        if name not in ("tagging", "next_step")
        else predicted[0][: len(alone)]
    )
    np.testing.assert_allclose(one, alone, atol=1e-5)


@pytest.mark.any_backend
def test_a_search_over_sequences_of_many_lengths_is_resumed(tmp_path):
    """A trial is what it would be without the ones before, in the order of its data."""
    task = tasks()["ragged"]

    def search(trials, name):
        found = tuner.search(
            task,
            ["gru"],
            trials=trials,
            max_epochs=2,
            min_units=4,
            max_units=8,
            directory=tmp_path / name,
            tuner="random",
        )
        rows = sorted(found.leaderboard, key=lambda row: row["trial"])
        return [(row["score"], row["units"]) for row in rows]

    whole = search(3, "whole")
    assert search(1, "resumed") == whole[:1]
    assert search(3, "resumed") == whole


@pytest.mark.any_backend
def test_kinds_without_a_search_say_what_to_do():
    task = Task.from_text("to be or not to be " * 20)
    with pytest.raises(ValueError, match="'language_model'.*`keras_rnnx.models.for"):
        tuner.HyperRNN.for_task(task)
    with pytest.raises(ValueError, match=r"`input_shape` must be \(time,\)"):
        tuner.HyperRNN((None, 3), tokens=7)
