"""How often each label occurs, and how often a model expects it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_rnnx.diagnosis._data import Batch
from keras_rnnx.diagnosis._objective import Objective
from keras_rnnx.diagnosis.measured import Rates

# Probabilities are no nearer to 0 and 1, as in the losses of Keras.
EDGE = 1e-7


def measure(
    model: keras.Model, objective: Objective, batch: Batch, outputs: Any
) -> Rates | None:
    """The rates of labels in the targets and in the outputs.

    Args:
        model: the model.
        objective: its loss.
        batch: the batch.
        outputs: what the model makes of it, as arrays.

    Returns:
        None unless the model has one output, of probabilities, with classes or with 0
        and 1 as its targets, and all samples count alike.
    """
    flat = keras.tree.flatten(outputs)
    y = batch.y
    if len(flat) != 1 or not isinstance(y, np.ndarray) or batch.weights is not None:
        return None
    answers = np.asarray(flat[0], "float64")
    if _reads_scores(model.loss):
        return None
    if np.any(answers < 0) or np.any(answers > 1):
        return None
    valid = objective.valid
    if valid is None or valid.shape != answers.shape[:-1]:
        valid = np.ones(answers.shape[:-1], bool)
    if not valid.any():
        return None
    shape, labels = answers.shape, answers.shape[-1]
    if labels == 1 and y.shape == shape[:-1]:
        y = y[..., None]
    if y.shape in (shape[:-1], (*shape[:-1], 1)) and labels > 1:
        return _of_classes(answers[valid], y.reshape(shape[:-1])[valid])
    if y.shape == shape and np.isin(y, (0, 1)).all():
        return _of_labels(answers[valid], y[valid])
    return None


def _reads_scores(loss: Any) -> bool:
    """Whether a loss turns scores into probabilities itself."""
    config = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
    return bool(config.get("from_logits"))


def _of_classes(answers: np.ndarray, y: np.ndarray) -> Rates | None:
    """Of one class for each answer, with a softmax."""
    whole = np.issubdtype(y.dtype, np.integer) or np.all(y == np.round(y))
    classes = answers.shape[-1]
    if not whole or not np.allclose(answers.sum(-1), 1, atol=1e-3):
        return None
    y = y.astype("int64")
    if np.any((y < 0) | (y >= classes)):
        return None
    answers = answers.clip(EDGE, 1)
    loss = -np.log(np.take_along_axis(answers, y[:, None], -1)).mean()
    targets = np.bincount(y, minlength=classes) / len(y)
    expected = answers.mean(0)
    cost = _information(targets, expected).sum()
    return Rates(targets, expected, float(cost), float(loss), "softmax")


def _of_labels(answers: np.ndarray, y: np.ndarray) -> Rates:
    """Of labels that are on or off, each with a logistic unit."""
    answers = answers.clip(EDGE, 1 - EDGE)
    loss = -np.where(y == 1, np.log(answers), np.log1p(-answers)).sum(-1).mean()
    targets, expected = y.mean(0, dtype="float64"), answers.mean(0)
    both = _information(targets, expected) + _information(1 - targets, 1 - expected)
    return Rates(targets, expected, float(both.sum()), float(loss), "sigmoid")


def _information(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """`p log(p / q)`, which is 0 at 0."""
    return np.where(p > 0, p * np.log(np.maximum(p, EDGE) / q), 0.0)
