"""The tasks that the cells are compared on."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import keras_rnnx


@dataclass(frozen=True)
class Setting:
    """A task, and its score.

    Attributes:
        task: what `load_task` loads.
        score: which metric of the model is the score.
        more_is_better: whether a higher score is the better one.
        options: of the task.
    """

    task: str
    score: str
    more_is_better: bool
    options: dict[str, int] = field(default_factory=dict)


TASKS = {
    "digits": Setting("digits", "accuracy", True),
    "adding": Setting("adding", "loss", False, {"length": 100, "train": 10_000}),
}


def names(wanted: list[str] | None) -> list[str]:
    """The tasks to run.

    Args:
        wanted: names, or None for all.

    Raises:
        ValueError: for a name that is none.
    """
    for name in wanted or ():
        if name not in TASKS:
            raise ValueError(f"{name!r} is not a task. There are: {', '.join(TASKS)}.")
    return wanted or list(TASKS)


@functools.cache
def data(name: str) -> Any:
    """The data of a task. They and their split are the same for all runs.

    With a split for each seed, sequences of one run's validation part would be in the
    test part of another.

    Args:
        name: one of `TASKS`.
    """
    setting = TASKS[name]
    return keras_rnnx.datasets.load_task(setting.task, **setting.options)
