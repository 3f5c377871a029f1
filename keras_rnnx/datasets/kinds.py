"""The kinds of tasks: how each is trained and judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras

from keras_rnnx import metrics
from keras_rnnx._errors import unknown


class Objective(NamedTuple):
    """What a search looks for.

    Attributes:
        name: a name in the logs of `fit`, as "val_accuracy".
        direction: "min" or "max".
    """

    name: str
    direction: str


@dataclasses.dataclass(frozen=True)
class Kind:
    """How tasks of a kind are trained and judged.

    Attributes:
        name: as `Task.kind` has it.
        description: what a model of it does, on one line.
        loss: a Keras loss, or its name.
        make_metrics: what makes Keras metrics, or gives their names.
        objective: what a search looks for.
    """

    name: str
    description: str
    loss: str | keras.losses.Loss
    make_metrics: Callable[[], tuple[str | keras.metrics.Metric, ...]]
    objective: Objective

    @property
    def metrics(self) -> tuple[str | keras.metrics.Metric, ...]:
        """New Keras metrics, or their names. They have variables: none at import."""
        return self.make_metrics()


def _kinds() -> list[Kind]:
    from_logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return [
        Kind(
            "classification",
            "a class for each sequence",
            "sparse_categorical_crossentropy",
            lambda: ("accuracy",),
            Objective("val_accuracy", "max"),
        ),
        Kind(
            "regression",
            "values for each sequence",
            "mean_squared_error",
            lambda: ("mean_absolute_error",),
            Objective("val_loss", "min"),
        ),
        Kind(
            "forecasting",
            "the next steps of a series, from a window of it",
            "mean_squared_error",
            lambda: ("mean_absolute_error",),
            Objective("val_loss", "min"),
        ),
        Kind(
            "tagging",
            "a class for each step",
            "sparse_categorical_crossentropy",
            lambda: (metrics.TokenAccuracy(),),
            Objective("val_token_accuracy", "max"),
        ),
        Kind(
            "next_step",
            "which labels the next step has, after each step",
            "binary_crossentropy",
            lambda: (metrics.FrameNLL(), metrics.FrameAccuracy()),
            Objective("val_frame_nll", "min"),
        ),
        Kind(
            "language_model",
            "the next token, after each token of a long text",
            from_logits,
            lambda: (metrics.Perplexity(from_logits=True),),
            Objective("val_perplexity", "min"),
        ),
        Kind(
            "sequence_to_sequence",
            "another sequence for each sequence",
            from_logits,
            lambda: (metrics.Perplexity(from_logits=True), metrics.TokenAccuracy()),
            Objective("val_perplexity", "min"),
        ),
        Kind(
            "ctc",
            "the labels of each sequence, wherever they stand in it",
            keras.losses.CTC(),
            tuple,
            Objective("val_loss", "min"),
        ),
    ]


KINDS: dict[str, Kind] = {kind.name: kind for kind in _kinds()}


def kind_of(name: str) -> Kind:
    """The kind of a name.

    Raises:
        ValueError: for an unknown name, with the nearest.
    """
    if name not in KINDS:
        raise unknown("kind of task", name, KINDS)
    return KINDS[name]


def new_metrics(
    metrics: Sequence[str | keras.metrics.Metric],
) -> list[str | keras.metrics.Metric]:
    """The same metrics anew: a metric counts for one model."""
    return [
        metric
        if isinstance(metric, str)
        else type(metric).from_config(metric.get_config())
        for metric in metrics
    ]
