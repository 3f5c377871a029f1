"""Distinguishes searches, and chooses a directory for each."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras_tuner

from keras_rnnx.tuner._processes.work import Work
from keras_rnnx.tuner._state.journal import signature_of
from keras_rnnx.tuner.hypermodel import HyperRNN


def signature(work: Work, **others: Any) -> dict[str, Any]:
    """The values that must be equal for trials to belong to one search.

    Args:
        work: the data and functions that its trials need.
        **others: other arguments that matter.
    """
    goal = work.objective
    result = {
        **work.data.signature(),
        "objective": [goal.name, goal.direction],
        **others,
    }
    if not isinstance(work.hypermodel, HyperRNN):
        owner = getattr(work.hypermodel, "function", type(work.hypermodel))
        return {**result, "hypermodel": getattr(owner, "__qualname__", "function")}
    hp = keras_tuner.HyperParameters()
    work.hypermodel.declare_hyperparameters(hp)
    # Sorted, since KerasTuner's protocol changes the order.
    configs = sorted(json.dumps(c, sort_keys=True) for c in hp.get_config()["space"])
    fixed = work.hypermodel.space.fixed
    own_space = {"space": configs, "fixed": fixed, "params": work.hypermodel.params}
    return {**result, "space": json.dumps(own_space, sort_keys=True, default=repr)}


def place(directory: Path, mine: Mapping[str, Any]) -> Path:
    """The directory of a search, or a new one if it holds one over another space."""
    path, number = directory, 1
    mine = json.loads(json.dumps(mine))
    while True:
        saved = signature_of(path)
        if saved is None:
            break
        names = saved.keys() | mine.keys()
        if {k for k in names if saved.get(k) != mine.get(k)} != {"space"}:
            break
        number += 1
        path = directory.with_name(f"{directory.name}-{number}")
    if path != directory:
        warnings.warn(
            f"{directory} holds a search over another space. This one is in {path}.",
            stacklevel=3,
        )
    return path
