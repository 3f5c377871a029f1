"""What the losses of the epochs say: overfitting, plateaus, jumps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_rnnx.diagnosis.measured import Curves

# Progress is a new lowest loss, lower by this share of its size.
PROGRESS = 0.01
# A loss that falls by less than this share of its first value has no fall to compare
# jumps with.
LEAST_FALL = 0.1


def measure(history: Any) -> Curves:
    """The measure of a training.

    Args:
        history: what `fit` returned, or a dict with lists of numbers.

    Raises:
        TypeError: for another kind of object.
        ValueError: without losses, or if the lists don't fit each other.
    """
    logs = getattr(history, "history", history)
    if not isinstance(logs, Mapping):
        raise TypeError(
            f"`history` is what `fit` returned, or a dict with a list of numbers for "
            f"each name; received {history!r}."
        )
    loss = _curve(logs, "loss")
    if loss is None or not len(loss):
        raise ValueError(
            f"`history` needs 'loss' with a number for each epoch, received "
            f"{', '.join(map(repr, logs)) or 'nothing'}."
        )
    validation = _curve(logs, "val_loss")
    if validation is not None and len(validation) != len(loss):
        raise ValueError(
            f"`history` has {len(loss)} values of 'loss' and {len(validation)} of "
            f"'val_loss': give one of each for an epoch."
        )
    watched = loss if validation is None else validation
    finite = np.isfinite(watched)
    best = int(np.argmin(np.where(finite, watched, np.inf))) + 1
    return Curves(
        loss=loss,
        validation=validation,
        best=best,
        since_best=len(loss) - best,
        since_progress=since_progress(loss),
        gap=None if validation is None else float(validation[-1] - loss[-1]),
        rise=float(watched[-1] - watched[best - 1]),
        jump=jump(loss),
    )


def _curve(logs: Mapping[str, Any], name: str) -> np.ndarray | None:
    if name not in logs:
        return None
    try:
        curve = np.asarray(logs[name], "float64")
    except (TypeError, ValueError):
        curve = np.zeros(())
    if curve.ndim != 1:
        raise ValueError(
            f"`history[{name!r}]` must be a list of numbers, received {logs[name]!r}."
        )
    return curve


def since_progress(loss: np.ndarray) -> int:
    """Epochs since the loss last fell, by a hundredth of its size or more."""
    last, lowest = 0, loss[0]
    for epoch, value in enumerate(loss):
        if value < lowest - PROGRESS * abs(lowest) or not np.isfinite(lowest):
            last, lowest = epoch, value
    return len(loss) - 1 - last


def jump(loss: np.ndarray) -> float:
    """The largest rise from one epoch to the next, beside the fall until then.

    A loss that becomes NaN or infinite has an infinite one.
    """
    if not np.isfinite(loss).all():
        return float("inf")
    if len(loss) < 2:
        return 0.0
    falls = loss[0] - np.minimum.accumulate(loss)[:-1]
    # A loss that has not fallen yet is compared with its size.
    falls = np.maximum(falls, max(LEAST_FALL * abs(loss[0]), 1e-30))
    return float(np.max(np.maximum(np.diff(loss), 0) / falls))
