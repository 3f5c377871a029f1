"""Ranges of a search over a cell's own options: the values of `Cell.search`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Numbers from `low` to `high`, both included.

    Args:
        low, high: the bounds.

    Raises:
        ValueError: if `low` is not below `high`; the classes below raise it too.

    Example:

    >>> space = {"alpha": keras_rnnx.cells.ranges.Uniform(0.8, 0.99)}
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        kinds = int if isinstance(self, Int) else (int, float)
        least = 0 if isinstance(self, (Log, LogInt)) else None
        ends = (self.low, self.high)
        real = all(isinstance(v, kinds) and not isinstance(v, bool) for v in ends)
        if not real or not self.low < self.high:
            raise ValueError(
                f"{type(self).__name__} goes from a number to a larger one"
                f"{', both whole' if kinds is int else ''}; received {ends}."
            )
        if least is not None and self.low <= least:
            raise ValueError(
                f"{type(self).__name__} needs bounds above 0, received {ends}."
            )

    def holds(self, value: Any) -> bool:
        """Whether this is one of the values."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    def examples(self) -> list[Any]:
        """The bounds."""
        return [self.low, self.high]

    def draw(self, hp: Any, name: str, default: Any) -> Any:
        """Draws a value from a `keras_tuner.HyperParameters`."""
        return hp.Float(name, self.low, self.high, default=default)


class Log(Uniform):
    """Positive numbers from `low` to `high`, as many in each order of magnitude."""

    def draw(self, hp: Any, name: str, default: Any) -> Any:
        return hp.Float(name, self.low, self.high, sampling="log", default=default)


class Int(Uniform):
    """Whole numbers from `low` to `high`, both included."""

    def holds(self, value: Any) -> bool:
        return isinstance(value, int) and super().holds(value)

    def draw(self, hp: Any, name: str, default: Any) -> Any:
        return hp.Int(name, self.low, self.high, default=default)


class LogInt(Int):
    """Positive whole numbers from `low` to `high`, as many in each order of magnitude.

    Both ends are included.
    """

    def draw(self, hp: Any, name: str, default: Any) -> Any:
        return hp.Int(name, self.low, self.high, sampling="log", default=default)


class Boolean:
    """True or False."""

    def holds(self, value: Any) -> bool:
        """Whether this is one of the two."""
        return isinstance(value, bool)

    def examples(self) -> list[bool]:
        """Both."""
        return [False, True]

    def draw(self, hp: Any, name: str, default: bool) -> Any:
        """Draws a value from a `keras_tuner.HyperParameters`."""
        return hp.Boolean(name, default=default)


class Choice:
    """Some values.

    Args:
        values: a list of strings or numbers; or a dict of values of any kind by the
            names under which they are drawn.

    Raises:
        ValueError: for fewer than two values.

    Example:

    >>> space = {"periods": Choice({"short": (1, 2), "long": (1, 4, 16)})}
    """

    def __init__(self, values: Sequence[Any] | Mapping[str, Any]):
        named = isinstance(values, Mapping)
        self.values = dict(values) if named else {value: value for value in values}
        if len(self.values) < 2:
            raise ValueError(f"Choice needs two values or more, received {values!r}.")

    def holds(self, value: Any) -> bool:
        """Whether this is one of the values."""
        return value in self.values.values()

    def examples(self) -> list[Any]:
        """All of them."""
        return list(self.values.values())

    def draw(self, hp: Any, name: str, default: Any) -> Any:
        """Draws a value from a `keras_tuner.HyperParameters`."""
        first = next(key for key, value in self.values.items() if value == default)
        drawn = hp.Choice(name, list(self.values), default=first)
        # KerasTuner returns None where another hyperparameter makes it inactive.
        return None if drawn is None else self.values[drawn]


KINDS = (Uniform, Boolean, Choice)
