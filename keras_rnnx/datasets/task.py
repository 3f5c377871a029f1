"""What a task is, and the registry of tasks by name."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from keras_rnnx._errors import unknown

_TASKS: dict[str, Callable[..., Task]] = {}


class Split(NamedTuple):
    """Part of a data set.

    Attributes:
        x: sequences, float32 `(n, time, features)`.
        y: classes, integers `(n,)`, or values, float32 `(n, outputs)`.
    """

    x: np.ndarray
    y: np.ndarray


class Objective(NamedTuple):
    """What a search looks for.

    Attributes:
        name: a name in the logs of `fit`, as "val_accuracy".
        direction: "min" or "max".
    """

    name: str
    direction: str


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """Data with what it takes to train a model on it and to judge the result.

    Attributes:
        name: the name of the task.
        description: one line that says what is to be learned.
        train: data to fit on.
        validation: data to choose models and hyperparameters by.
        test: data for the final figure alone.
        classes: number of classes, or None for regression.
        loss: a Keras loss.
        metrics: names of Keras metrics.
        objective: what a search looks for.
        options: the options the task was loaded with.

    Raises:
        ValueError: if the objective's direction is neither "min" nor "max".

    Example:

    >>> task = keras_rnnx.datasets.load_task("adding", length=50)
    >>> task.input_shape, task.outputs, task.loss
    ((50, 2), 1, 'mean_squared_error')
    """

    name: str
    description: str
    train: Split
    validation: Split
    test: Split
    classes: int | None
    loss: str
    metrics: tuple[str, ...]
    objective: Objective
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.objective.direction not in ("min", "max"):
            raise ValueError(
                f"The direction of an objective is 'min' or 'max', received "
                f"{self.objective.direction!r} for {self.objective.name!r}."
            )

    @property
    def input_shape(self) -> tuple[int, int]:
        """Steps and features of one sequence: `(time, features)`."""
        return self.train.x.shape[1:]

    @property
    def outputs(self) -> int:
        """Number of outputs of a model: one per class, or one per value."""
        return self.classes or self.train.y.shape[1]


def register_task(name: str) -> Callable[[Callable[..., Task]], Callable[..., Task]]:
    """Decorator that registers a function which makes a task.

    The keyword arguments of the function are the options of `load_task`; each needs a
    default.

    Args:
        name: the name to load the task by.

    Raises:
        ValueError: if another function holds the name already.

    Example:

    >>> @keras_rnnx.datasets.register_task("short_adding")
    ... def short_adding(seed=0):
    ...     return keras_rnnx.datasets.load_task("adding", length=10, seed=seed)
    """

    def register(make):
        held = _TASKS.get(name)
        # The same function defined anew (a notebook cell run twice) takes its place.
        if held is not None and _origin(held) != _origin(make):
            raise ValueError(
                f"Cannot register {make.__qualname__} as task {name!r}: "
                f"{held.__module__}.{held.__qualname__} holds that name."
            )
        _TASKS[name] = make
        return make

    return register


def _origin(make):
    return make.__module__, make.__qualname__


def list_tasks() -> list[str]:
    """The names of all registered tasks, sorted."""
    return sorted(_TASKS)


def load_task(name: str, **options: Any) -> Task:
    """Makes a registered task.

    Args:
        name: "digits", "adding", or the name of a task of your own.
        **options: options of the task. All have `seed`, an integer that determines the
            data and its split.

    Returns:
        The task, with the data in memory.

    Raises:
        ValueError: for an unknown name or option, with the nearest valid ones, and for
            an option out of range.
        ImportError: if the task needs a package that is not installed.

    Example:

    >>> keras_rnnx.datasets.load_task("adding", length=100, train=500).train.x.shape
    (500, 100, 2)
    """
    if name not in _TASKS:
        raise unknown("task", name, _TASKS)
    valid = inspect.signature(_TASKS[name]).parameters
    for option in options:
        if option not in valid:
            raise unknown(f"option of task {name!r}", option, valid)
    return _TASKS[name](**options)
