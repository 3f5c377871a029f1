"""From what a trial drew to the arguments of a model and its training."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from keras_rnnx import initializers
from keras_rnnx._errors import unknown
from keras_rnnx.cells.registry import lookup
from keras_rnnx.layers import Stack
from keras_rnnx.tuner._space.hyperparameters import (
    NONE,
    REGULARIZERS,
    Hyperparameter,
)

# Those that are no arguments of a model under their own name.
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
# What is not passed on: models have it by themselves.
_DEFAULTS = {
    **{"pooling": "last", "connection": NONE, "attention": NONE, "tied": False},
    **{"bidirectional": False, "initial_state_trainable": False},
}


def stack_arguments(
    settings: Mapping[str, Any], steps: int | None, known: bool, tokens: bool
) -> dict[str, Any]:
    """The arguments of a `keras_rnnx.layers.Stack`, and of the model around it.

    Args:
        settings: what a trial drew.
        steps: number of steps of the longest sequence, or None.
        known: whether all sequences are of that length, so that layers know it.
        tokens: whether sequences are tokens.
    """
    cell = settings["cell"]
    found = {"cell": cell, "units": settings["units"]}
    if settings["layers"] > 1:
        found["depth"] = settings["layers"]
    options = settings["options"]
    # What a stack has an argument of its own for (`depth`) is the cell's alone.
    apart = {k: v for k, v in options.items() if k in _OF_STACKS}
    if apart:
        found["cell"] = lookup(cell)(settings["units"], **apart)
    found |= {k: v for k, v in options.items() if k not in apart}
    recipe = settings.get("recipe", NONE)
    if recipe != NONE:
        found |= _recipe(recipe, steps, known)
    rate = settings["dropout"]
    if rate:
        # The first layer sees numbers whole: with one feature, dropping it would drop
        # the sequence.
        names = ["dropout"] * (settings["layers"] > 1) + ["input_dropout"] * tokens
        found |= dict.fromkeys([*names, "output_dropout"], rate)
    regularizer = settings.get("regularizer", NONE)
    if regularizer != NONE:
        found[regularizer] = settings[regularizer]
    normalization = settings.get("normalization", NONE)
    if normalization != NONE:
        found[normalization] = True
    # None stands for a default, here as in `space`.
    others = {k: v for k, v in settings.items() if k not in _APART and v is not None}
    return found | {k: v for k, v in others.items() if v != _DEFAULTS.get(k)}


def check_training(hyperparameters: Iterable[Hyperparameter]) -> None:
    """Raises a ValueError for an optimizer or a schedule that there is not."""
    for one in hyperparameters:
        valid = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}.get(one.name, ())
        for value in one.values.examples() if one.values else [one.default]:
            if valid and value not in valid:
                raise unknown(f"{one.name} in `space`", value, valid)


def _recipe(name, steps, known):
    """A recipe, with the length of sequences where layers don't know it."""
    if known:
        return {"recipe": name}
    if name == "chrono":
        return {"bias_initializer": initializers.Chrono(max(3, steps))}
    if name == "leaky":
        rates = initializers.LeakRates(longest=max(2, steps))
        return {"leak": rates, "leak_trainable": True}
    return {"recipe": name}


def optimizer_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the optimizer."""
    found = {"learning_rate": settings["learning_rate"]}
    if settings.get("weight_decay") is not None:
        found["weight_decay"] = settings["weight_decay"]
    if settings["global_clipnorm"] is not None:
        found["global_clipnorm"] = settings["global_clipnorm"]
    return found


def optimizer(settings: Mapping[str, Any]) -> keras.optimizers.Optimizer:
    """The optimizer that a trial drew."""
    return OPTIMIZERS[settings["optimizer"]](**optimizer_arguments(settings))


def rate_of(schedule: str, epoch: int, epochs: int) -> float:
    """What the learning rate is multiplied by in an epoch.

    Args:
        schedule: "cosine", from 1 to nearly 0; "warmup", the same behind a rise over
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
