"""Tasks of every kind with their models: trained in `fit`, and the same when padded."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnx import models
from keras_rnnx.datasets import KINDS, PaddedBatches, Task

LENGTHS = np.random.default_rng(1).integers(3, 8, 60)


def tasks():
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(n, 3)) for n in LENGTHS]
    frames = [(rng.random((n, 5)) < 0.5).astype("uint8") for n in LENGTHS]
    words = ["abc"[: 1 + n % 3] * 2 for n in range(60)]
    letters = {"kind": "sequence_to_sequence", "level": "character"}
    found = [
        Task.from_arrays(rows, np.arange(60) % 3),
        Task.from_arrays(rows, rng.normal(size=(60, 2))),
        Task.from_series(rng.normal(size=(90, 2)), 6, 4),
        Task.from_arrays(rows, [rng.integers(0, 3, n) for n in LENGTHS]),
        Task.from_arrays(frames, kind="next_step"),
        Task.from_text("to be or not to be " * 40),
        Task.from_arrays(words, [w[::-1] for w in words], **letters),
        Task.from_arrays(rows, [["a", "b"][: n % 3] for n in range(60)], kind="ctc"),
    ]
    return {task.kind: task for task in found}


TASKS = tasks()


def test_there_is_a_task_of_every_kind():
    assert set(TASKS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_each_kind_is_trained_and_judged(kind):
    """In batches of many lengths; what a search would look for is logged."""
    task = TASKS[kind]
    model = models.for_task(task, cell="gru", units=6)
    task.compile(model, keras.optimizers.Adam(0.05))
    sizes = {"batch_size": 8}
    if kind == "language_model":
        sizes = {"batch_size": 2, "steps": 8}
    history = model.fit(
        task.batches("train", **sizes),
        validation_data=task.batches("validation", **sizes),
        epochs=4,
        shuffle=False,
        verbose=0,
    ).history
    assert np.isfinite(history[task.objective.name]).all()
    assert history["loss"][-1] < history["loss"][0]
    found = model.evaluate(task.batches("test", **sizes), verbose=0, return_dict=True)
    assert np.isfinite(list(found.values())).all()


@pytest.mark.parametrize(
    "kind", ["classification", "next_step", "sequence_to_sequence"]
)
def test_figures_do_not_depend_on_how_sequences_are_batched(kind):
    """Metrics in batches of one are those in buckets with padding."""
    task = TASKS[kind]
    model = models.for_task(task, cell="gru", units=6)
    task.compile(model)
    alone, bucketed = (
        model.evaluate(task.batches("train", size), verbose=0, return_dict=True)
        for size in (1, 16)
    )
    # A loss is a mean of means over batches, and weighs steps of short batches more.
    for name in set(alone) - {"loss"}:
        np.testing.assert_allclose(alone[name], bucketed[name], rtol=1e-4)


def test_what_the_task_determines_is_not_given_twice():
    with pytest.raises(ValueError, match="determines 'classes' of a classifier"):
        models.for_task(TASKS["classification"], classes=7)


def test_tf_data_has_the_same_batches_in_each_epoch():
    task = TASKS["sequence_to_sequence"]
    if keras.backend.backend() != "tensorflow":
        with pytest.raises(ValueError, match="needs the backend TensorFlow"):
            task.dataset()
        return
    batches, dataset = task.batches("train", 8), task.dataset("train", 8)
    for epoch in range(2):
        batches.seek(epoch)
        expected = [batches[k] for k in range(len(batches))]
        found = list(dataset)
        assert len(found) == len(expected)
        for one, other in zip(found, expected):
            for a, b in zip(keras.tree.flatten(one), keras.tree.flatten(other)):
                np.testing.assert_array_equal(ops.convert_to_numpy(a), b)
    model = models.for_task(task, cell="gru", units=4)
    task.compile(model)
    model.fit(dataset, verbose=0)


@pytest.mark.any_backend
def test_what_keras_takes_for_fixed_differs_between_the_first_batches():
    """On TensorFlow Keras compares the first two batches, in their order."""
    x = [np.ones((n, 2)) for n in (3, 3, 3, 3, 5, 5)]
    y = [[1]] * 4 + [[1, 2, 3]] * 2
    batches = PaddedBatches(x, y, 2, shuffle=False, aligned=False)
    shapes = [(batches[k][0].shape[1], batches[k][1].shape[1]) for k in range(3)]
    assert shapes == [(3, 1), (4, 2), (5, 3)]
    same = PaddedBatches(x[:4], y[:4], 2, shuffle=False, aligned=False)
    assert [same[k][0].shape[1] for k in range(2)] == [3, 3]
