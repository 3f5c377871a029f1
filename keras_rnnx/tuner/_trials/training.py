"""Trains one trial, and scores it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras

from keras_rnnx.tuner._space.arguments import rate_of

PENALTY = 1e30
"""The score of a trial whose first epoch diverged, if lower is better; otherwise its
negative."""


def callbacks(
    settings: Mapping[str, Any], epochs: int, monitor: str, direction: str
) -> list[keras.callbacks.Callback]:
    """The callbacks of a trial.

    Args:
        settings: its values of "learning_rate" and "schedule".
        epochs: number of epochs of the whole training.
        monitor: the logged name to watch: a trial stops when it has not improved for
            half of the epochs.
        direction: "min" or "max", which is better.
    """

    def rate(epoch: int, _: float) -> float:
        return settings["learning_rate"] * rate_of(settings["schedule"], epoch, epochs)

    return [
        keras.callbacks.LearningRateScheduler(rate),
        keras.callbacks.EarlyStopping(
            monitor, mode=direction, patience=patience(epochs)
        ),
        StopOnDivergence(),
    ]


def patience(epochs: int) -> int:
    """The number of epochs without improvement after which a trial stops."""
    return max(2, math.ceil(epochs / 2))


class StopOnDivergence(keras.callbacks.Callback):
    """Ends the training after an epoch that logged a NaN or an infinity."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not finite(logs or {}):
            self.model.stop_training = True


class WhileFinite(keras.callbacks.CallbackList):
    """Callbacks that don't see epochs in which training diverged.

    KerasTuner would keep the weights of an epoch of infinite accuracy. A callback with
    `sees_divergence` is not wrapped.
    """

    def __init__(self, callbacks: list[keras.callbacks.Callback]):
        super().__init__(callbacks, add_history=False, add_progbar=False)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if finite(logs or {}):
            super().on_epoch_end(epoch, logs)


def finite(logs: Mapping[str, float]) -> bool:
    """Whether all values of an epoch are finite."""
    return all(math.isfinite(value) for value in logs.values())


def epochs_before_divergence(history: Mapping[str, list[float]]) -> int:
    """Number of epochs before the first that logged a NaN or an infinity."""
    rows = [dict(zip(history, row)) for row in zip(*history.values())]
    return next((n for n, row in enumerate(rows) if not finite(row)), len(rows))


def best_epoch(
    history: Mapping[str, list[float]], name: str, direction: str
) -> int | None:
    """The best epoch before any divergence, from 0, or None.

    Args:
        history: a list over the epochs for each name.
        name: name of the values to compare.
        direction: "min" or "max", which is better.
    """
    values = history[name][: epochs_before_divergence(history)]
    if not values:
        return None
    return values.index(min(values) if direction == "min" else max(values))


def penalty(direction: str | None) -> float:
    """The worst finite score, so that KerasTuner keeps the trial and avoids similar
    ones.

    Args:
        direction: "min", "max", or None if it is not known which is better. The score
            is then NaN, which KerasTuner counts as a failed trial: any finite value
            might be read as the best of all.
    """
    return {"min": PENALTY, "max": -PENALTY, None: math.nan}[direction]
