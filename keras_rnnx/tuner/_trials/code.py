"""Python code that makes and trains the best model, to copy."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_rnnx.cells import Cell
from keras_rnnx.cells.registry import cell_name
from keras_rnnx.datasets import list_tasks
from keras_rnnx.tuner._space import arguments
from keras_rnnx.tuner._trials.data import SearchData, TaskData
from keras_rnnx.tuner.hypermodel import HyperRNN

WIDTH = 88
# Modules of Keras and of this package, by the class of what is in them.
PLACES = {
    "initializers": keras.initializers.Initializer,
    "regularizers": keras.regularizers.Regularizer,
    "constraints": keras.constraints.Constraint,
}


def code(
    hypermodel: HyperRNN,
    data: SearchData,
    hp: Any,
    epochs: int,
    best_epoch: int,
) -> str:
    """The code that makes and trains a model of a search.

    Args:
        hypermodel: the hypermodel.
        data: the data of the search.
        hp: the hyperparameters of the trial.
        epochs: largest number of epochs of a trial, which the learning rate depends on.
        best_epoch: the epoch with the best score, from 1, after which training ends.
    """
    settings = hypermodel.settings(hp)
    model_arguments = hypermodel.model_arguments(settings, hp)
    front = model_arguments.pop("front", None)
    name = f"keras_rnnx.models.{hypermodel.make.__name__}"
    lines = ["import math", "", "import keras", "import keras_rnnx", "", *_data(data)]
    seed = hypermodel.trial_seed(hp)
    if seed is not None:
        lines.append(f"keras.utils.set_random_seed({seed})")
    rates = model_arguments.get("base_rates")
    own = data.task.base_rates if isinstance(data, TaskData) else None
    if rates is not None and np.array_equal(rates, own):
        model_arguments["base_rates"] = _Written("task.base_rates")
    if front is not None:
        lines.append("# `front` is the function that was passed to the search.")
        model_arguments["front"] = _Written("lambda x: front(hp, x)")
    lines.append(f"model = {_call(name, model_arguments)}")
    optimizer = type(arguments.optimizer(settings)).__name__
    options = arguments.optimizer_arguments(settings)
    lines += [
        f"optimizer = {_call(f'keras.optimizers.{optimizer}', options)}",
        "task.compile(model, optimizer)",
        "",
        "",
        *_rate(settings, epochs),
        "",
        "",
        *_fit(hypermodel, data, settings, best_epoch),
    ]
    goal = hypermodel.objective
    lines.append(f'print({goal.direction}(history.history["{goal.name}"]))')
    return "\n".join(lines) + "\n"


class _Written(str):
    """A string that is code already."""


def _data(data: SearchData) -> list[str]:
    if not isinstance(data, TaskData):
        return [
            "# `train` and `validation` are the batches of the search, and `task` has",
            "# the loss and the metrics of a model.",
        ]
    task = data.task
    if task.name in list_tasks():
        options = {k: v for k, v in task.options.items() if v is not None}
        written = _call("keras_rnnx.datasets.load_task", options, repr(task.name))
        return [f"task = {written.replace(chr(39), chr(34))}"]
    return ["# `task` is the keras_rnnx.datasets.Task of the search."]


def _rate(settings: Mapping[str, Any], epochs: int) -> list[str]:
    rate = settings["learning_rate"]
    lines = ["def learning_rate(epoch, _):"]
    if settings["schedule"] == "constant":
        return [*lines, f"    return {rate!r}"]
    begin = 0
    if settings["schedule"] == "warmup":
        begin = next(
            n for n in range(epochs) if arguments.rate_of("warmup", n, epochs) == 1.0
        )
        lines += [
            f"    if epoch < {begin}:",
            f"        return {rate!r} * (epoch + 1) / {begin + 1}",
        ]
    done = f"(epoch - {begin}) / {epochs - begin}" if begin else f"epoch / {epochs}"
    return [*lines, f"    return {rate!r} * 0.5 * (1 + math.cos(math.pi * {done}))"]


def _fit(
    hypermodel: HyperRNN, data: SearchData, settings: Mapping[str, Any], epochs: int
) -> list[str]:
    callbacks = ["keras.callbacks.LearningRateScheduler(learning_rate)"]
    if not isinstance(data, TaskData):
        return [
            "history = model.fit(",
            "    train,",
            "    validation_data=validation,",
            f"    epochs={epochs},",
            f"    callbacks=[{callbacks[0]}],",
            ")",
        ]
    fit_arguments = data.fit_arguments(settings, 0)
    size = settings["batch_size"]
    if "y" in fit_arguments:
        lines = [
            "history = model.fit(",
            "    task.train.x,",
            "    task.train.y,",
            f"    batch_size={size},",
            "    validation_data=tuple(task.validation),",
        ]
        before = []
    else:
        options = ", ".join(
            f"{name}={value!r}"
            for name, value in {"batch_size": size, **data.options(settings)}.items()
        )
        if hypermodel.kind == "language_model":
            callbacks.append("keras_rnnx.callbacks.TruncatedBPTT(train)")
        weights = ""
        if data.class_weight is not None:
            weights = f", class_weight={data.class_weight!r}"
        before = [
            f'train = task.batches("train", {options}{weights})',
            f'validation = task.batches("validation", {options})',
        ]
        lines = ["history = model.fit(", "    train,"]
        lines.append("    validation_data=validation,")
        if hypermodel.kind == "language_model":
            lines.append("    shuffle=False,")
    inside = [f"        {callback}," for callback in callbacks]
    return [
        *before,
        *lines,
        f"    epochs={epochs},",
        "    callbacks=[",
        *inside,
        "    ],",
        ")",
    ]


def _call(
    name: str, arguments_of_call: Mapping[str, Any], first: str | None = None
) -> str:
    """A call, on one line or with a line for each argument."""
    written = [f"{key}={_value(value)}" for key, value in arguments_of_call.items()]
    written = ([first] if first else []) + written
    line = f"{name}({', '.join(written)})"
    if len(line) <= WIDTH - len("optimizer = "):
        return line
    inside = textwrap.indent(",\n".join(written), "    ")
    return f"{name}(\n{inside},\n)"


def _value(value: Any) -> str:
    """A value as code."""
    if isinstance(value, _Written):
        return str(value)
    if isinstance(value, str):
        return f'"{value}"'
    config = getattr(value, "get_config", None)
    if isinstance(value, Cell):
        options = type(value).options.items()
        options_of_cell = {
            k: getattr(value, k) for k, v in options if getattr(value, k) != v
        }
        first = f'"{cell_name(type(value))}", {value.units}'
        return _call("keras_rnnx.cells.get", options_of_cell, first)
    if config is None:
        return repr(value)
    package = type(value).__module__.partition(".")[0]
    place = next(name for name, kind in PLACES.items() if isinstance(value, kind))
    config_values = {k: v for k, v in config().items() if v is not None}
    return _call(f"{package}.{place}.{type(value).__name__}", config_values)
