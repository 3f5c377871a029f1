"""The trivial answer to each kind of task, and what it achieves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_rnnx.datasets import baselines
from keras_rnnx.datasets.facts import Figure

if TYPE_CHECKING:
    from keras_rnnx.datasets.task import Task


def baseline(task: Task) -> Figure | None:
    """What the trivial answer achieves on the test part; None for kinds without one."""
    train, test = task.train, task.test
    if task.kind == "classification":
        accuracy = baselines.majority(train.y, test.y)
        return Figure("most frequent class", "accuracy", accuracy)
    if task.kind == "regression":
        return Figure("mean", "mean_squared_error", baselines.mean(train.y, test.y))
    if task.kind == "forecasting":
        columns: Sequence[int] = range(test.x.shape[-1])
        if task.scaling is not None:
            columns = task.scaling.targets
        error = baselines.repeated(test.x[..., list(columns)], test.y)
        return Figure("last value", "mean_squared_error", error)
    if task.kind == "tagging":
        tags = (np.concatenate(list(part.y)) for part in (train, test))
        return Figure("most frequent class", "accuracy", baselines.majority(*tags))
    if task.kind == "next_step":
        rolls = ([np.r_[x[:1], y] for x, y in zip(*part)] for part in (train, test))
        loss = baselines.marginal_frames(*rolls)
        return Figure("rate of each label", "frame_nll", loss)
    if task.kind == "language_model" and set(test.x.tolist()) <= set(train.x.tolist()):
        perplexity = baselines.unigram_perplexity(train.x.tolist(), test.x.tolist())
        often = "frequency of each token"
        if task.vocabulary is not None and task.vocabulary.level == "character":
            return Figure(often, "bits_per_character", math.log2(perplexity))
        return Figure(often, "perplexity", perplexity)
    return None


def base_rates(task: Task) -> np.ndarray | None:
    """How often each output occurs in training, or its mean; None for other kinds."""
    y = task.train.y
    if task.kind == "regression":
        return np.reshape(y, (len(y), -1)).mean(0, dtype="float64")
    if task.kind == "next_step":
        labels = np.concatenate(list(y))
        return (labels.sum(0, dtype="float64") + 1) / (len(labels) + 2)
    if task.kind not in ("classification", "tagging", "language_model"):
        return None
    tokens = task.train.x if task.kind == "language_model" else y
    if task.kind == "tagging":
        tokens = np.concatenate(list(y))
    counts = np.bincount(np.asarray(tokens).ravel(), minlength=task.outputs) + 1
    return counts / counts.sum()
