"""The best score so far over the seconds of a search."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

# A point of a search: seconds since its call, and the objective of an epoch.
Point = tuple[float, float]


def best_so_far(
    points: Iterable[Point], direction: str, seconds: float = math.inf
) -> list[Point]:
    """The points that are better than all before them, until the time is over.

    Args:
        points: of all epochs that count, in any order.
        direction: "min" or "max", which is better.
        seconds: later points don't count.
    """
    sign = 1 if direction == "min" else -1
    found: list[Point] = []
    for second, value in sorted(points):
        if second > seconds or not math.isfinite(value):
            continue
        if not found or sign * value < sign * found[-1][1]:
            found.append((second, value))
    return found


def at(curve: Sequence[Point], seconds: Iterable[float]) -> list[float]:
    """The values of a curve at some times, NaN before its first point."""
    found = []
    for second in seconds:
        before = [value for when, value in curve if when <= second]
        found.append(before[-1] if before else math.nan)
    return found
