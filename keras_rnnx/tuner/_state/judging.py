"""Decides how a trial ended, and its score."""

from __future__ import annotations

import math
from collections.abc import Mapping

import keras_tuner

from keras_rnnx.tuner._state.records import (
    COMPLETED,
    DIVERGED,
    RUNNING,
    STOPPED,
    Record,
)
from keras_rnnx.tuner._trials.training import best_epoch, epochs_before_divergence


def judge(
    record: Record, objective: keras_tuner.Objective, epochs: int, means: bool
) -> None:
    """Sets status, score and reason of a trial that has not failed.

    Args:
        record: the record of the trial.
        objective: the objective.
        epochs: largest number of epochs of a trial.
        means: whether reports are means over all folds so far: then the last one
            counts instead of the best.
    """
    before = epochs_before_divergence(record.history)
    best = None
    if record.history:
        best = best_epoch(record.history, objective.name, objective.direction)
    if means and best is not None:
        best = before - 1
    if best is not None:
        record.score = float(record.history[objective.name][best])
        record.best_epoch = best + 1
    if before < record.epochs:
        names = [k for k, v in record.history.items() if not math.isfinite(v[-1])]
        record.status = DIVERGED
        record.reason = f"{', '.join(names)} not finite after epoch {record.epochs}"
    elif record.status == RUNNING and best is None:
        # It was measured, but not trained.
        record.status = STOPPED
    elif record.status == RUNNING:
        record.status = COMPLETED
        if record.epochs < epochs and record.reason is None:
            assert record.best_epoch is not None
            since = record.epochs - record.best_epoch
            record.reason = f"no better for {since} epochs"


def losses(record: Record, objective: keras_tuner.Objective) -> list[float]:
    """The objective after each epoch up to a divergence; lower is better."""
    values = record.history.get(objective.name, [])
    sign = 1 if objective.direction == "min" else -1
    return [sign * v for v in values[: epochs_before_divergence(record.history)]]


def over_limit(record: Record, limits: Mapping[str, float]) -> str | None:
    """The measured value of a model that exceeds its limit, in words, or None."""
    for name, limit in limits.items():
        value = record.facts.get(name)
        if value is None or value <= limit:
            continue
        if math.isinf(value):
            return f"{name} is limited, but the model can't run step by step"
        return f"{name} {value:.4g} is more than {limit:g}"
    return None
