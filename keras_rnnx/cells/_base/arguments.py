"""The arguments that every cell takes: their checks, and how configs write them."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np

from keras_rnnx import _numbers
from keras_rnnx._errors import nearest
from keras_rnnx._numbers import number as number
from keras_rnnx.cells._base.masks import RATES

STANDARD = {
    "use_bias": True,
    "kernel_initializer": "glorot_uniform",
    "recurrent_initializer": "orthogonal",
    "bias_initializer": "zeros",
    "kernel_regularizer": None,
    "recurrent_regularizer": None,
    "bias_regularizer": None,
    "kernel_constraint": None,
    "recurrent_constraint": None,
    "bias_constraint": None,
    "dropout": 0.0,
    "recurrent_dropout": 0.0,
    "dropout_mask": "sequence",
    "weight_dropout": 0.0,
    "input_weight_dropout": 0.0,
    "update_dropout": 0.0,
    "zoneout": 0.0,
    "monte_carlo": False,
    "layer_norm": False,
    "batch_norm": False,
    "batch_norm_steps": None,
    "batch_norm_momentum": 0.99,
    "seed": None,
}
# The arguments about `projection_kernel`, for cells that have one.
PROJECTION = {
    "projection_initializer": "glorot_uniform",
    "projection_regularizer": None,
    "projection_constraint": None,
}
# The first arguments are Keras' own and can be passed by position, in Keras' order. All
# others are keyword-only.
BY_POSITION = 4
FLAGS = ("monte_carlo", "layer_norm", "batch_norm")
# How Keras computes a step (2: one product, 1: one per gate). Here the engine decides.
# Cells accept the argument, for code written for Keras, and ignore it.
COMPATIBILITY = ("implementation",)
LAYER = ("name", "dtype", "trainable", "autocast")

_REGISTRIES = {
    "activation": keras.activations,
    "initializer": keras.initializers,
    "regularizer": keras.regularizers,
    "constraint": keras.constraints,
}


def signature(options: dict[str, Any]) -> inspect.Signature:
    """The constructor signature of a cell with these extra options.

    Activations come right after `units` and can be passed by position, as in Keras.
    An option named like a standard argument changes its default.
    """
    standard = {name: options.get(name, value) for name, value in STANDARD.items()}
    extra = {k: v for k, v in options.items() if k not in STANDARD}
    first = {k: v for k, v in extra.items() if k.endswith("activation")}
    last = {k: v for k, v in extra.items() if k not in first}
    by_position = list(first) + list(STANDARD)[:BY_POSITION]
    parameter = inspect.Parameter
    parameters = [parameter("units", parameter.POSITIONAL_OR_KEYWORD)]
    for name, default in {**first, **standard, **last}.items():
        kind = (
            parameter.POSITIONAL_OR_KEYWORD
            if name in by_position
            else parameter.KEYWORD_ONLY
        )
        parameters.append(parameter(name, kind, default=default))
    parameters.append(parameter("kwargs", parameter.VAR_KEYWORD))
    return inspect.Signature(parameters)


def bind(cls: type[Any], args: tuple, kwargs: dict[str, Any]) -> tuple[dict, dict]:
    """Splits constructor arguments into the cell's own and those of `keras.Layer`.

    Raises:
        ValueError: for an argument the cell does not have, with the nearest names.
    """
    parameters = [n for n in cls.__signature__.parameters if n != "kwargs"]
    valid = [*parameters, *LAYER, *COMPATIBILITY]
    check_names(f"{cls.__name__}", kwargs, valid)
    kwargs = {k: v for k, v in kwargs.items() if k not in COMPATIBILITY}
    bound = cls.__signature__.bind(*args, **kwargs)
    bound.apply_defaults()
    layer = bound.arguments.pop("kwargs", {})
    return dict(bound.arguments), layer


def check_names(owner: str, kwargs: dict[str, Any], valid: list[str]) -> None:
    """Raises a ValueError for a keyword that `owner` does not take."""
    for name in kwargs:
        if name not in valid:
            close = nearest(name, valid)
            hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise ValueError(
                f"{owner} has no argument {name!r} (received "
                f"{name}={kwargs[name]!r}).{hint} "
                f"Its arguments: {', '.join(sorted(valid))}."
            )


def resolve(name: str, value: object) -> object:
    """Makes an object of an argument that names one: "tanh" becomes a function.

    A config of an object becomes the object, whatever the name of the argument.
    """
    if name == "units":
        return positive_int(name, value)
    if name in RATES:
        return rate(name, value)
    if name == "batch_norm_momentum":
        return rate(name, value)
    if name == "batch_norm_steps" and value is not None:
        return positive_int(name, value)
    if name == "seed":
        return _numbers.seed(name, value)
    if name == "dropout_mask":
        return choice(name, value, ("sequence", "step"))
    if name in FLAGS:
        return flag(name, value)
    registry = _REGISTRIES.get(name.rsplit("_", 1)[-1])
    if registry is not None:
        return registry.get(value)
    if isinstance(value, dict) and "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    return value


def serialize(name: str, value: object) -> object:
    """The reverse of `resolve`, for `get_config`."""
    registry = _REGISTRIES.get(name.rsplit("_", 1)[-1])
    if registry is not None:
        return registry.serialize(value) if value is not None else None
    if hasattr(value, "get_config"):
        return keras.saving.serialize_keras_object(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    # Keras tracks the lists of a layer; a config needs plain ones, which can be copied.
    return list(value) if isinstance(value, list) else value


def positive_int(name: str, value: Any) -> int:
    """`value` as an int, or a ValueError if it is not a positive whole number."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value <= 0:
        raise ValueError(
            f"Received an invalid value for argument `{name}`, expected a positive "
            f"integer, got {value!r}."
        )
    return int(value)


def rate(name: str, value: Any) -> float:
    """`value` as a float in [0, 1), or a ValueError."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not 0 <= value < 1:
        raise ValueError(
            f"Received an invalid value for argument `{name}`, expected a rate in "
            f"[0, 1), got {value!r}."
        )
    return float(value)


def rates(
    name: str, value: object, states: tuple[str, ...], taking: tuple[str, ...]
) -> tuple[float, ...]:
    """`value`, a rate or one for each state, as a tuple of rates, or a ValueError.

    Args:
        taking: the states that can have a rate. A single number applies to these
            states; the others get 0.
    """
    if not isinstance(value, (list, tuple, np.ndarray)):
        single = rate(name, value)
        return tuple(single if state in taking else 0.0 for state in states)
    if len(value) != len(states):
        raise ValueError(
            f"Received an invalid value for argument `{name}`, expected a rate or a "
            f"list of {len(states)}, one for each of the states "
            f"{', '.join(states)}; got {value!r}."
        )
    result = tuple(rate(name, item) for item in value)
    for state, item in zip(states, result):
        if item and state not in taking:
            raise ValueError(
                f"Received an invalid value for argument `{name}`: the state {state!r} "
                f"means nothing once it is kept while others move on, so its rate must "
                f"be 0; got {value!r}. Pass one number: it applies to the other states."
            )
    return result


def choice(name: str, value: object, valid: tuple[str, ...]) -> object:
    """`value`, or a ValueError if it is not one of `valid`."""
    if value not in valid:
        raise ValueError(
            f"Received an invalid value for argument `{name}`, expected "
            f"{' or '.join(map(repr, valid))}, got {value!r}."
        )
    return value


def flag(name: str, value: object) -> bool:
    """`value` as a bool, or a ValueError if it is not True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(
            f"Received an invalid value for argument `{name}`, expected True or "
            f"False, got {value!r}."
        )
    return bool(value)
