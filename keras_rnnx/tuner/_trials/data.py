"""The data that the trials of a search train on."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_rnnx._numbers import integer
from keras_rnnx.datasets import Split, Task
from keras_rnnx.tuner.hypermodel import HyperRNN

BATCH_SIZE = 32
STEPS = 35


class SearchData:
    """Base class of the data that trials train on.

    Attributes:
        folds: number of trainings of a trial, each on other parts of the data.
        name: name of the data.
        description: one line about the task.
    """

    folds = 1
    name = "data"
    description = ""

    def hypermodel(self, **kwargs: Any) -> HyperRNN:
        """The hypermodel that fits the data."""
        raise NotImplementedError

    def settings(self, hypermodel: Any, hp: Any) -> Mapping[str, Any]:
        """The values of a trial that concern its batches."""
        if isinstance(hypermodel, HyperRNN):
            return hypermodel.space.draw(hp)
        values = hp.values
        return {
            name: values[name] for name in ("batch_size", "steps") if name in values
        }

    def fit_arguments(self, settings: Mapping[str, Any], fold: int) -> dict[str, Any]:
        """The data, as arguments of `fit`."""
        raise NotImplementedError

    def batch(self, settings: Mapping[str, Any]) -> tuple[Any, ...]:
        """A batch: inputs, targets, and possibly weights, as arrays."""
        raise NotImplementedError

    def test(self, settings: Mapping[str, Any]) -> Any:
        """The test part, for `evaluate`, or None."""
        raise NotImplementedError

    def signature(self) -> dict[str, Any]:
        """Values that distinguish it from other data."""
        raise NotImplementedError


class TaskData(SearchData):
    """The data of a task.

    Args:
        task: the task.
        batch_size: number of sequences in a batch, if it is not searched.
        folds: number of folds; 1 for the task's own split.
        groups: the group of each sequence of training and validation, for folds.
        class_weight: as for `Task.batches`.
    """

    def __init__(
        self,
        task: Task,
        batch_size: int | None = None,
        folds: int = 1,
        groups: Any = None,
        class_weight: Any = None,
    ):
        self.task = task
        self.name, self.description = task.name, task.description
        self.batch_size = batch_size
        self.folds = integer("folds", folds, 1)
        self.class_weight = class_weight
        if class_weight is not None:
            task.batches("train", class_weight=class_weight)
        if groups is not None and folds == 1:
            raise ValueError("`groups` need `folds`: pass the number of folds, too.")
        self._tasks = [task] if folds == 1 else _folds(task, folds, groups)

    def hypermodel(self, **kwargs: Any) -> HyperRNN:
        """The hypermodel that fits the task."""
        return HyperRNN.for_task(self.task, **kwargs)

    def fit_arguments(self, settings: Mapping[str, Any], fold: int) -> dict[str, Any]:
        """The data, as arguments of `fit`: arrays if all sequences have one length."""
        task, size = self._tasks[fold], self._size(settings)
        train, validation = task.train, task.validation
        rectangular = all(isinstance(values, np.ndarray) for values in train)
        if rectangular and task.kind != "language_model" and self.class_weight is None:
            data = {"x": train.x, "y": train.y, "batch_size": size}
            return {**data, "validation_data": tuple(validation)}
        return {
            "x": self._batches(task, "train", settings),
            "validation_data": self._batches(task, "validation", settings),
        }

    def _size(self, settings: Mapping[str, Any]) -> int:
        return settings.get("batch_size") or self.batch_size or BATCH_SIZE

    def options(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The options of `Task.batches` for validation; training has weights, too."""
        if self.task.kind == "language_model":
            return {"steps": settings.get("steps", STEPS), "drop_remainder": True}
        multiple = _multiple(self.task)
        return {} if multiple == 1 else {"pad_to_multiple_of": multiple}

    def _batches(self, task: Task, part: str, settings: Mapping[str, Any]) -> Any:
        options = self.options(settings)
        if part == "train" and self.class_weight is not None:
            options["class_weight"] = self.class_weight
        return task.batches(part, self._size(settings), **options)

    def batch(self, settings: Mapping[str, Any]) -> tuple[Any, ...]:
        """The first batch of the training part."""
        return self._batches(self._tasks[0], "train", settings)[0]

    def test(self, settings: Mapping[str, Any]) -> Any:
        """The test part, in batches."""
        return self._batches(self.task, "test", settings)

    def signature(self) -> dict[str, Any]:
        """The name, the options, and checksums of all parts."""
        result: dict[str, Any] = {
            "task": self.name,
            "options": {k: repr(v) for k, v in self.task.options.items()},
            "data": [_checksum(values) for part in self.task.parts for values in part],
        }
        if self.folds > 1:
            result["folds"] = self.folds
        if self.class_weight is not None:
            result["class_weight"] = repr(self.class_weight)
        return result


def _multiple(task: Task) -> int:
    """What the lengths of batches are a multiple of.

    JAX compiles each length. So there are at most eight: an eighth of the longest
    sequence, rounded up to a power of two. The other backends run any length.
    """
    if keras.backend.backend() != "jax":
        return 1
    lengths = {len(row) for part in task.parts for row in part.x}
    longest = max(lengths)
    if len(lengths) == 1:
        return 1
    return 1 << max(-(-longest // 8) - 1, 0).bit_length()


def _checksum(values: Any) -> int:
    if isinstance(values, np.ndarray):
        return zlib.crc32(np.ascontiguousarray(values))
    if values is None:
        return 0
    # The lengths first: the same steps, divided into other sequences, are other data.
    checksum = zlib.crc32(np.array([len(row) for row in values]))
    for row in values:
        checksum = zlib.crc32(np.ascontiguousarray(row), checksum)
    return checksum


def _folds(task: Task, folds: int, groups: Any) -> list[Task]:
    """A task for each fold: splits training and validation part together again."""
    if task.kind == "language_model":
        raise ValueError(
            "`folds` split sequences, but a language model has one text: leave it out."
        )
    x = _joined(task.train.x, task.validation.x)
    y = None if task.train.y is None else _joined(task.train.y, task.validation.y)
    splitter = _splitter(task, folds, groups)
    if groups is not None and len(groups) != len(x):
        raise ValueError(
            f"`groups` must have one entry for each of the {len(x)} sequences of "
            f"training and validation, received {len(groups)}."
        )
    labels = y if task.kind == "classification" else None
    tasks = []
    for train, validation in splitter.split(np.zeros(len(x)), labels, groups):
        parts = [Split(_rows(x, i), _rows(y, i)) for i in (train, validation)]
        tasks.append(dataclasses.replace(task, train=parts[0], validation=parts[1]))
    return tasks


def _splitter(task: Task, folds: int, groups: Any) -> Any:
    try:
        from sklearn import model_selection
    except ModuleNotFoundError as error:
        raise ImportError(
            "`folds` need scikit-learn: pip install 'keras-rnnx[tuner]'."
        ) from error
    if task.kind == "forecasting":
        # Never train on the future.
        return model_selection.TimeSeriesSplit(folds)
    if groups is not None:
        return model_selection.GroupKFold(folds)
    if task.kind == "classification":
        return model_selection.StratifiedKFold(folds, shuffle=True, random_state=0)
    return model_selection.KFold(folds, shuffle=True, random_state=0)


def _joined(first: Any, second: Any) -> Any:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.concatenate([first, second])
    return [*first, *second]


def _rows(values: Any, indices: Any) -> Any:
    if values is None or isinstance(values, np.ndarray):
        return None if values is None else values[indices]
    return [values[i] for i in indices]
