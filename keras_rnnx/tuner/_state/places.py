"""What tells searches apart, and where each is saved."""

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
    """What must be the same for trials to belong to one search.

    Args:
        work: what its trials need.
        **others: other arguments that count.
    """
    goal = work.objective
    found = {
        **work.data.signature(),
        "objective": [goal.name, goal.direction],
        **others,
    }
    if not isinstance(work.hypermodel, HyperRNN):
        owner = getattr(work.hypermodel, "function", type(work.hypermodel))
        return {**found, "hypermodel": getattr(owner, "__qualname__", "function")}
    hp = keras_tuner.HyperParameters()
    work.hypermodel.declare_hyperparameters(hp)
    # In any order: KerasTuner's protocol has another one.
    configs = sorted(json.dumps(c, sort_keys=True) for c in hp.get_config()["space"])
    fixed = work.hypermodel.space.fixed
    own = {"space": configs, "fixed": fixed, "params": work.hypermodel.params}
    return {**found, "space": json.dumps(own, sort_keys=True, default=repr)}


def place(directory: Path, mine: Mapping[str, Any]) -> Path:
    """The directory of a search: beside one that differs in its space alone."""
    found, number = directory, 1
    mine = json.loads(json.dumps(mine))
    while True:
        held = signature_of(found)
        if held is None:
            break
        names = held.keys() | mine.keys()
        if {k for k in names if held.get(k) != mine.get(k)} != {"space"}:
            break
        number += 1
        found = directory.with_name(f"{directory.name}-{number}")
    if found != directory:
        warnings.warn(
            f"{directory} holds a search over another space. This one is in {found}.",
            stacklevel=3,
        )
    return found
