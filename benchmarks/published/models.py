"""The model of a set-up."""

from __future__ import annotations

from typing import Any

import keras

import keras_rnnx
from benchmarks.published.declared import Setup
from keras_rnnx import models


def model(setup: Setup, task: Any) -> keras.Model:
    """Builds a model, of this package or of Keras' own layers.

    Args:
        setup: how it is trained.
        task: its task.
    """
    if setup.recipe == "zaremba":
        return models.zaremba(
            "small",
            vocabulary=task.tokens,
            batch_size=setup.batch,
            steps=setup.steps,
            cell=setup.cell,
            units=setup.units,
            depth=setup.depth,
            **setup.arguments,
        )
    if setup.library == "keras":
        return _keras(setup, task)
    more = {}
    if task.kind == "next_step":
        more = {"base_rates": task.base_rates if setup.base_rates else None}
    if task.kind == "language_model":
        more = {"batch_size": setup.batch, "stateful": True, "steps": setup.steps}
    return models.for_task(
        task,
        cell=setup.cell,
        units=setup.units,
        depth=setup.depth,
        **setup.arguments,
        **more,
    )


# What each kind of task needs at its end, as `keras_rnnx.models.for_task` has it.
ENDS = {
    "classification": "softmax",
    "regression": None,
    "tagging": "softmax",
    "next_step": "sigmoid",
}


def _keras(setup, task):
    """Layers of Keras, with its defaults, between the same ends as ours."""
    if task.kind not in ENDS:
        raise ValueError(f"There is no model of Keras' layers for {task.kind} here.")
    each = task.kind in ("tagging", "next_step")
    make = getattr(keras.layers, setup.cell)
    found = [keras.Input(task.input_shape)]
    if task.steps is None:
        found.append(keras_rnnx.layers.MaskPadding())
    for number in range(setup.depth):
        sequences = each or number + 1 < setup.depth
        found.append(
            make(setup.units, return_sequences=sequences, **dict(setup.arguments))
        )
    found.append(keras.layers.Dense(task.outputs, activation=ENDS[task.kind]))
    return keras.Sequential(found)


def optimizer(setup: Setup) -> keras.optimizers.Optimizer:
    """The optimizer of a set-up."""
    config = {
        "learning_rate": setup.rate,
        "global_clipnorm": setup.clip,
        **setup.settings,
    }
    return keras.optimizers.deserialize(
        {"class_name": setup.optimizer, "config": config}
    )
