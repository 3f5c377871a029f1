"""How one trial is trained, and what it reports when it diverges."""

from __future__ import annotations

import math

import keras

PENALTY = 1e30
"""What a diverged trial scores where less is better; its negative where more is."""


def callbacks(
    learning_rate: float, epochs: int, monitor: str, direction: str
) -> list[keras.callbacks.Callback]:
    """The callbacks of a trial.

    Args:
        learning_rate: the rate of the first epoch; it falls along a cosine to nearly 0.
        epochs: number of epochs of the whole training.
        monitor: the logged name to watch: a trial stops when it has not improved for
            half of the epochs.
        direction: "min" or "max", which is better.

    Returns:
        Keras callbacks.
    """

    def cosine(epoch, _):
        return learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / epochs))

    return [
        keras.callbacks.LearningRateScheduler(cosine),
        keras.callbacks.EarlyStopping(
            monitor, mode=direction, patience=max(2, math.ceil(epochs / 2))
        ),
        StopOnDivergence(),
    ]


class StopOnDivergence(keras.callbacks.Callback):
    """Ends the training after an epoch that logged a NaN or an infinity."""

    def on_epoch_end(self, epoch, logs=None):
        if not all(math.isfinite(value) for value in (logs or {}).values()):
            self.model.stop_training = True


def diverged(logs: dict[str, list[float]]) -> bool:
    """Whether anything logged, `History.history`, was not finite."""
    return not all(math.isfinite(v) for values in logs.values() for v in values)


def penalty(direction: str | None) -> float:
    """The worst finite score, so that KerasTuner keeps the trial and avoids its like.

    Args:
        direction: "min", "max", or None if it is not known which is better. The score
            is then NaN, which KerasTuner counts as a failed trial: any finite value
            might be read as the best of all.
    """
    return {"min": PENALTY, "max": -PENALTY, None: math.nan}[direction]
