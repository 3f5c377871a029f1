"""The registry of tasks by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from keras_rnnx._errors import unknown
from keras_rnnx.datasets.task import Task

_TASKS: dict[str, Callable[..., Task]] = {}


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

    def register(make: Callable[..., Task]) -> Callable[..., Task]:
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


def _origin(make: Callable[..., Any]) -> tuple[str, str]:
    return make.__module__, make.__qualname__


def list_tasks() -> list[str]:
    """The names of all registered tasks, sorted."""
    return sorted(_TASKS)


def load_task(name: str, **options: Any) -> Task:
    """Makes a registered task.

    Args:
        name: "digits", "adding", another name of `list_tasks()`, or that of a task of
            your own.
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
