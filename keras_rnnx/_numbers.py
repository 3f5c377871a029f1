"""Checks of numbers in arguments."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np


def integer(name: str, value: Any, least: int) -> int:
    """`value` as an int, if it is an integer of at least `least`.

    Args:
        name: the name of the argument, for the message.
        value: the received value.
        least: the smallest valid value.

    Raises:
        ValueError: if it is not, with the received value.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise ValueError(
            f"`{name}` must be an integer of at least {least}, received {value!r}."
        )
    return number


def seed(name: str, value: object) -> int | None:
    """`value` if it is None or a valid seed, else a ValueError."""
    if value is None:
        return None
    value = integer(name, value, least=0)
    if value >= 2**32:
        raise ValueError(f"`{name}` must be less than 2**32, received {value!r}.")
    return value


def number(name: str, value: Any) -> float:
    """`value` as a float, or a ValueError if it is not a finite number."""
    real = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not real or not np.isfinite(value):
        raise ValueError(
            f"Received an invalid value for argument `{name}`, expected a finite "
            f"number, got {value!r}."
        )
    return float(value)
