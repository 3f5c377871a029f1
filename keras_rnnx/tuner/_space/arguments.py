"""Turns the values of a trial into the arguments of a model and its training."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from keras_rnnx._errors import unknown
from keras_rnnx.cells.registry import lookup
from keras_rnnx.layers import Stack, recipes
from keras_rnnx.tuner._space.hyperparameters import (
    NONE,
    REGULARIZERS,
    Hyperparameter,
)

# Hyperparameters that are not passed to a model under their own name.
_APART = (
    *("cell", "units", "layers", "options", "dropout", "regularizer", "normalization"),
    *("optimizer", "weight_decay", "learning_rate", "schedule", "global_clipnorm"),
    *("batch_size", "steps", "recipe", *REGULARIZERS),
)
_OF_STACKS = frozenset(inspect.signature(Stack.__init__).parameters)
OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}
# The share of the epochs in which "warmup" raises the rate.
WARMUP = 0.1
SCHEDULES = ("cosine", "warmup", "constant")
# Defaults of models, which are not passed on.
_DEFAULTS = {
    **{"pooling": "last", "connection": NONE, "attention": NONE, "tied": False},
    **{"bidirectional": False, "initial_state_trainable": False},
}


def stack_arguments(
    settings: Mapping[str, Any], steps: int | None, fixed_length: bool, tokens: bool
) -> dict[str, Any]:
    """The arguments of a `keras_rnnx.layers.Stack`, and of the model around it.

    Args:
        settings: the values of a trial.
        steps: number of steps of the longest sequence, or None.
        fixed_length: whether all sequences have that length, so that layers know it.
        tokens: whether sequences are tokens.
    """
    cell = settings["cell"]
    result = {"cell": cell, "units": settings["units"]}
    if settings["layers"] > 1:
        result["depth"] = settings["layers"]
    options = settings["options"]
    # Options whose names the stack uses too (`depth`) are passed to the cell.
    apart = {k: v for k, v in options.items() if k in _OF_STACKS}
    if apart:
        result["cell"] = lookup(cell)(settings["units"], **apart)
    result |= {k: v for k, v in options.items() if k not in apart}
    recipe = settings.get("recipe", NONE)
    if recipe != NONE:
        result |= _recipe(recipe, steps, fixed_length)
    rate = settings["dropout"]
    if rate:
        # No dropout of numeric inputs: with a single feature it would drop the whole
        # sequence.
        names = ["dropout"] * (settings["layers"] > 1) + ["input_dropout"] * tokens
        result |= dict.fromkeys([*names, "output_dropout"], rate)
    regularizer = settings.get("regularizer", NONE)
    if regularizer != NONE:
        result[regularizer] = settings[regularizer]
    normalization = settings.get("normalization", NONE)
    if normalization != NONE:
        result[normalization] = True
        if normalization == "batch_norm" and not fixed_length:
            result["batch_norm_steps"] = steps
    # None stands for a default, here as in `space`.
    others = {k: v for k, v in settings.items() if k not in _APART and v is not None}
    return result | {k: v for k, v in others.items() if v != _DEFAULTS.get(k)}


def check_training(hyperparameters: Iterable[Hyperparameter]) -> None:
    """Raises a ValueError for an unknown optimizer or schedule."""
    for parameter in hyperparameters:
        valid = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}.get(parameter.name, ())
        for value in (
            parameter.values.examples() if parameter.values else [parameter.default]
        ):
            if valid and value not in valid:
                raise unknown(f"{parameter.name} in `space`", value, valid)


def _recipe(name: str, steps: Any, fixed_length: bool) -> dict[str, Any]:
    """A recipe, with the length of sequences if layers don't know it."""
    if fixed_length or not recipes.RECIPES[name].by_length:
        return {"recipe": name}
    return recipes.for_length(name, steps)


def optimizer_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the optimizer."""
    result = {"learning_rate": settings["learning_rate"]}
    if settings.get("weight_decay") is not None:
        result["weight_decay"] = settings["weight_decay"]
    if settings["global_clipnorm"] is not None:
        result["global_clipnorm"] = settings["global_clipnorm"]
    return result


def optimizer(settings: Mapping[str, Any]) -> keras.optimizers.Optimizer:
    """The optimizer that a trial drew."""
    return OPTIMIZERS[settings["optimizer"]](**optimizer_arguments(settings))


def rate_of(schedule: str, epoch: int, epochs: int) -> float:
    """The factor of the learning rate in an epoch.

    Args:
        schedule: "cosine", from 1 to nearly 0; "warmup", the same after a rise over
            the first tenth of the epochs; or "constant".
        epoch: number of the epoch, from 0.
        epochs: number of epochs of the whole training.
    """
    if schedule == "constant":
        return 1.0
    rising = math.ceil(WARMUP * epochs) if schedule == "warmup" else 0
    if epoch < rising:
        return (epoch + 1) / (rising + 1)
    done = (epoch - rising) / max(1, epochs - rising)
    return 0.5 * (1 + math.cos(math.pi * done))
