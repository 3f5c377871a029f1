"""Tasks: what is in them, and what happens to a wrong request."""

import builtins
import dataclasses

import numpy as np
import pytest

from keras_rnnx import datasets
from keras_rnnx.datasets import Objective, Split, Task, load_task, register_task


@pytest.fixture(scope="module")
def digits():
    """The digits in their default split."""
    return load_task("digits")


def parts(task):
    """The three parts of a task."""
    return task.train, task.validation, task.test


def test_digits_are_scikit_learns(digits):
    """Every digit is in exactly one part, its pixels row by row and scaled."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    rows = np.concatenate(
        [np.column_stack([p.y, p.x[..., 0] * 16]) for p in parts(digits)]
    )
    expected = np.column_stack([labels, images])
    # Equal as multisets: compare sorted rows.
    np.testing.assert_array_equal(
        rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)]
    )


def test_digits_are_what_models_take(digits):
    for part, size in zip(parts(digits), (1280, 256, 261)):
        assert part.x.shape == (size, 64, 1)
        assert part.x.dtype == np.float32
        assert part.x.min() == 0 and part.x.max() == 1
        assert part.y.shape == (size,)
        assert np.issubdtype(part.y.dtype, np.integer)
    assert digits.input_shape == (64, 1)
    assert digits.classes == digits.outputs == 10


def test_digits_are_stratified(digits):
    """No class is off its share by more than two sequences, in any part."""
    total = sum(np.bincount(part.y, minlength=10) for part in parts(digits))
    for part in parts(digits):
        share = total * len(part.y) / 1797
        assert np.all(np.abs(np.bincount(part.y, minlength=10) - share) < 2)


@pytest.mark.parametrize("name", ["digits", "adding"])
def test_the_seed_determines_the_data(name):
    first, again, other = (load_task(name, seed=seed) for seed in (3, 3, 4))
    for one, two, three in zip(parts(first), parts(again), parts(other)):
        np.testing.assert_array_equal(one.x, two.x)
        np.testing.assert_array_equal(one.y, two.y)
        assert not np.array_equal(one.x, three.x)


@pytest.mark.parametrize("length", [2, 3, 50])
def test_adding_targets_are_the_sums_of_the_marked(length):
    task = load_task("adding", length=length, train=64, validation=16, test=8)
    for part, size in zip(parts(task), (64, 16, 8)):
        values, markers = part.x[..., 0], part.x[..., 1]
        assert part.x.shape == (size, length, 2) and part.x.dtype == np.float32
        assert set(np.unique(markers)) <= {0, 1}
        np.testing.assert_array_equal(markers[:, : length // 2].sum(1), 1)
        np.testing.assert_array_equal(markers[:, length // 2 :].sum(1), 1)
        np.testing.assert_allclose(
            part.y, np.einsum("nt,nt->n", values, markers)[:, None], rtol=1e-6
        )


def test_adding_is_uniform():
    """Values fill [0, 1], markers reach all steps, answering 1 errs by 1/6."""
    x, y = load_task("adding", length=10).train
    assert abs(x[..., 0].mean() - 1 / 2) < 0.01 and abs(x[..., 0].var() - 1 / 12) < 0.01
    assert np.all(np.abs(x[..., 1].mean(0) - 1 / 5) < 0.02)
    assert abs(np.mean((y - 1) ** 2) - 1 / 6) < 0.01


def test_adding_parts_do_not_depend_on_each_other():
    small = load_task("adding", length=8, train=4, validation=4, test=4)
    large = load_task("adding", length=8, train=9, validation=4, test=4)
    np.testing.assert_array_equal(small.test.x, large.test.x)
    assert not np.array_equal(small.train.x, small.test.x)


@pytest.mark.parametrize(
    "options",
    [
        {"length": 1},
        {"length": -5},
        {"length": 2.5},
        {"length": "50"},
        {"length": True},
        {"length": None},
        {"train": 0},
        {"test": 1.0},
        {"seed": -1},
    ],
)
def test_adding_refuses_what_is_no_number_of_steps(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"`{name}` must be an integer") as error:
        load_task("adding", **options)
    assert repr(value) in str(error.value)


def test_unknown_names_come_with_the_nearest():
    with pytest.raises(ValueError, match="'digit'.*Did you mean 'digits'"):
        load_task("digit")
    with pytest.raises(ValueError, match="'lenght'.*Did you mean 'length'"):
        load_task("adding", lenght=3)
    with pytest.raises(ValueError, match="option of task 'digits'.*'length'.*seed"):
        load_task("digits", length=3)


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("sklearn"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"keras-rnnx\[datasets\]"):
        load_task("digits")


def test_a_task_of_ones_own(digits):
    @register_task("halves")
    def halves(seed=0, size=10):
        part = Split(digits.train.x[:size], digits.train.y[:size, None] / 2)
        return Task(
            name="halves",
            description="Half of the digit.",
            train=part,
            validation=part,
            test=part,
            classes=None,
            loss="mean_squared_error",
            metrics=(),
            objective=Objective("val_loss", "min"),
        )

    assert "halves" in datasets.list_tasks()
    assert len(load_task("halves", size=4).train.x) == 4
    assert load_task("halves").outputs == 1
    with pytest.raises(ValueError, match="'halves'.* holds that name"):
        register_task("halves")(lambda seed=0: None)


def test_a_task_cannot_be_changed_by_accident(digits):
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.train = digits.test
    with pytest.raises(ValueError, match="'min' or 'max', received 'up'"):
        dataclasses.replace(digits, objective=Objective("val_accuracy", "up"))


@pytest.mark.parametrize("length", [10, 57])
def test_temporal_order_is_the_order_of_two_symbols(length):
    x, y = load_task("temporal_order", length=length, train=500).train
    assert x.shape == (500, length, 6) and np.all(x.sum(axis=-1) == 1)
    for symbols, label in zip(x.argmax(axis=-1), y):
        first, second = np.flatnonzero(symbols < 2)
        assert length // 10 <= first < 2 * (length // 10)
        assert 4 * (length // 10) <= second < 5 * (length // 10)
        names = "AB"[symbols[first]] + "AB"[symbols[second]]
        assert ["AA", "AB", "BA", "BB"][label] == names
    assert np.all(abs(np.bincount(y) / 500 - 0.25) < 0.07)
