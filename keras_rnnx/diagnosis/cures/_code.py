"""Objects of Keras and of this package as code that makes them."""

from __future__ import annotations

import inspect
import math
from typing import Any

import keras

# Modules of Keras under whose public names its objects are.
PUBLIC = ("initializers", "regularizers", "constraints", "layers", "callbacks")


def as_code(value: Any) -> str:
    """The code of a value: a number, a text, a list, or an object with a config.

    Args:
        value: the value. Of an object the arguments are written that differ from the
            defaults of its class, and the first one in any case, unless it is None.
    """
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, float):
        return short(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(as_code, value))}]"
    if not hasattr(value, "get_config"):
        return getattr(value, "__name__", repr(value))
    return call(type(value), value.get_config())


def call(cls: type[Any], config: dict[str, Any]) -> str:
    """The call of a class with the arguments in a config."""
    parameters = [
        p
        for p in inspect.signature(cls.__init__).parameters.values()
        if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"
    ]
    given = []
    for number, parameter in enumerate(parameters):
        value = config.get(parameter.name, parameter.default)
        if number == 0 and value is not None:
            given.append(as_code(value))
        elif value != parameter.default:
            given.append(f"{parameter.name}={as_code(value)}")
    return f"{public_name(cls)}({', '.join(given)})"


def public_name(cls: type[Any]) -> str:
    """The name under which a class of Keras or of this package is public."""
    parts = cls.__module__.split(".")
    if parts[0] == "keras_rnnx":
        return f"{'.'.join(parts[:2])}.{cls.__name__}"
    if parts[0] == "keras":
        if issubclass(cls, keras.optimizers.schedules.LearningRateSchedule):
            return f"keras.optimizers.schedules.{cls.__name__}"
        if issubclass(cls, keras.optimizers.Optimizer):
            return f"keras.optimizers.{cls.__name__}"
        of = next((p for p in PUBLIC if p in parts), None)
        return f"keras.{of}.{cls.__name__}" if of else f"keras.{cls.__name__}"
    return cls.__name__


def short(number: float) -> str:
    """A number of a few digits, as Python reads it: 1.0, 0.001, 3e-05, 0.99999.

    Of a number just below 1 its distance to 1 has as many: 0.99999 is not 1.0.
    """
    text = f"{number:.4g}"
    if 0.9 < number < 1:
        places = 3 - math.floor(math.log10(1 - number))
        text = f"{number:.{places}f}".rstrip("0")
    return text if any(c in text for c in ".en") else f"{text}.0"
