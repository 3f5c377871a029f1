"""The model that fits a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import keras

from keras_rnnx._errors import unknown
from keras_rnnx.models.classifier import classifier, regressor
from keras_rnnx.models.ctc_labeller import ctc_labeller
from keras_rnnx.models.encoder_decoder import encoder_decoder
from keras_rnnx.models.forecaster import forecaster
from keras_rnnx.models.language_model import language_model
from keras_rnnx.models.next_step import next_step
from keras_rnnx.models.tagger import tagger

if TYPE_CHECKING:
    from keras_rnnx.datasets import Task


def for_task(task: Task, **kwargs: Any) -> keras.Model:
    """The model that fits a task: its kind, and the shapes of its data.

    | kind of task | model |
    |---|---|
    | "classification" | `keras_rnnx.models.classifier` |
    | "regression" | `regressor` |
    | "forecasting" | `forecaster` |
    | "tagging" | `tagger` |
    | "next_step" | `next_step` |
    | "language_model" | `language_model` |
    | "sequence_to_sequence" | `encoder_decoder` |
    | "ctc" | `ctc_labeller` |

    Args:
        task: a task, as of `keras_rnnx.datasets.load_task`.
        **kwargs: other arguments of that model: `cell`, `units`, `depth`, `dropout`,
            ... A tagger takes the head "softmax" here: the loss of a task is of that.
            `base_rates` are `task.base_rates` for "next_step", where most labels are
            rare and a network without them learns little else at first; pass them to
            use them for another kind, or None.

    Returns:
        A model, built and not compiled: `task.compile(model)` does that.

    Raises:
        ValueError: for an argument that the task determines, or that doesn't fit.

    Example:

    >>> task = keras_rnnx.datasets.load_task("adding", length=20, train=64)
    >>> model = keras_rnnx.models.for_task(task, cell="gru", units=8)
    >>> task.compile(model)
    >>> history = model.fit(task.batches("train"), verbose=0)
    """
    make, own = determined(task)
    if task.kind in FROM_BASE_RATES:
        kwargs = {"base_rates": task.base_rates, **kwargs}
    taken = [name for name in kwargs if name in own]
    if taken:
        raise ValueError(
            f"The task {task.name!r} determines {', '.join(map(repr, taken))} of a "
            f"{make.__name__}: leave it out, or call keras_rnnx.models."
            f"{make.__name__} yourself."
        )
    return make(**own, **kwargs)


# Kinds whose models start at the base rates of their labels.
FROM_BASE_RATES = ("next_step",)


class Facts(Protocol):
    """What determines the model of a task: of a `Task`, or said without one."""

    @property
    def kind(self) -> str | None: ...
    @property
    def features(self) -> int | None: ...
    @property
    def tokens(self) -> int | None: ...
    @property
    def steps(self) -> int | None: ...
    @property
    def outputs(self) -> int: ...
    @property
    def horizon(self) -> int | None: ...


def determined(task: Facts) -> tuple[Callable[..., keras.Model], dict[str, Any]]:
    """The function that makes the model of a task, and the arguments that are settled.

    Raises:
        ValueError: for a kind of task without a model.
    """
    if task.kind not in _MODELS:
        raise unknown("kind of task", task.kind, _MODELS)
    make, settled = _MODELS[task.kind]
    return make, settled(task)


def _inputs(task: Facts) -> dict[str, Any]:
    read = {"vocabulary": task.tokens, "features": task.features}
    own = {name: value for name, value in read.items() if value is not None}
    # Without padding there is nothing to mask, and kernels know all steps.
    return {**own, "steps": task.steps, "masked": task.steps is None}


def _classifier(task: Facts) -> dict[str, Any]:
    return {"classes": task.outputs, **_inputs(task)}


def _regressor(task: Facts) -> dict[str, Any]:
    return {"outputs": task.outputs, **_inputs(task)}


def _forecaster(task: Facts) -> dict[str, Any]:
    return {"horizon": task.horizon, "outputs": task.outputs, **_inputs(task)}


def _next_step(task: Facts) -> dict[str, Any]:
    return {"labels": task.outputs, **_inputs(task)}


def _language_model(task: Facts) -> dict[str, Any]:
    # Texts are not padded: token 0 is one as others are.
    return {"vocabulary": task.tokens, "masked": False}


def _encoder_decoder(task: Facts) -> dict[str, Any]:
    read = _inputs(task)
    renamed = {"vocabulary": "source_vocabulary", "features": "source_features"}
    own = {renamed.get(name, name): value for name, value in read.items()}
    return {"target_vocabulary": task.outputs, **own}


_MODELS: dict[str, tuple[Callable, Callable[[Facts], dict[str, Any]]]] = {
    "classification": (classifier, _classifier),
    "regression": (regressor, _regressor),
    "forecasting": (forecaster, _forecaster),
    "tagging": (tagger, _classifier),
    "next_step": (next_step, _next_step),
    "language_model": (language_model, _language_model),
    "sequence_to_sequence": (encoder_decoder, _encoder_decoder),
    "ctc": (ctc_labeller, _classifier),
}
