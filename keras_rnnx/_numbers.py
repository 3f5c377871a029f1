"""Checks of numbers that users give."""

from __future__ import annotations

import operator


def integer(name: str, value: object, least: int) -> int:
    """`value` as an int, if it is an integer of at least `least`.

    Args:
        name: the name of the argument, for the message.
        value: what was given.
        least: the smallest valid value.

    Raises:
        ValueError: if it is not; it says what was received.
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
