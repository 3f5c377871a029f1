"""Formats numbers, and chooses limits of axes that outliers do not stretch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

# An axis is logarithmic if the largest value is at least so many times the smallest.
MAGNITUDES = 30.0
# Outliers are left out if they would make an axis more than so many times as long.
STRETCHED = 3.0


def text(value: Any) -> str:
    """The value of a hyperparameter as text, on one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}"
    return " ".join(str(value).split())


def shortened(name: str, length: int) -> str:
    """A name of at most so many characters."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def score(value: float | None) -> str:
    """A score or a metric, with four digits."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:#.4g}".rstrip(".")


def with_spread(mean: float | None, spread: float | None) -> str:
    """A mean and a standard deviation, rounded to two digits of the deviation."""
    if mean is None:
        return ""
    if not spread:
        return score(mean)
    digits = 1 - math.floor(math.log10(spread))
    if not 0 <= digits <= 6:
        return f"{score(mean)} ± {spread:.2g}"
    return f"{mean:.{digits}f} ± {spread:.{digits}f}"


def runs(values: Sequence[float]) -> str:
    """Mean and standard deviation of several runs."""
    spread = statistics.stdev(values) if len(values) > 1 else None
    return with_spread(statistics.fmean(values), spread)


def duration(seconds: float) -> str:
    """A time in the two largest units, as in "8 min 32 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60) if seconds >= 3600 else int(seconds / 60)
    if minutes < 60:
        return f"{minutes} min {seconds - 60 * minutes:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min"


def count(number: int, noun: str) -> str:
    """A number of things, as in "1 trial" and "2 trials"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def spans(values: Iterable[float], times: float = MAGNITUDES) -> bool:
    """Whether positive values differ so much that a logarithmic axis shows more."""
    values = [value for value in values if math.isfinite(value)]
    return bool(values) and min(values) > 0 and max(values) / min(values) >= times


def magnitudes(values: Sequence[float]) -> bool:
    """Whether values look as if they were drawn on a logarithmic scale.

    The range alone does not tell: uniform values between 0 and 1 can span orders of
    magnitude too, because of the smallest one.
    """
    middle = (min(values) + max(values)) / 2
    return spans(values) and statistics.median(values) < middle / 2


def robust(
    values: Iterable[float], higher: bool | None, log: bool
) -> tuple[float, float]:
    """Limits of an axis that include all good values, but no bad outliers.

    Args:
        values: the values to show.
        higher: whether high values are good. None: include all values.
        log: whether the axis is logarithmic.

    Returns:
        The lower and the upper limit, with some space.
    """
    finite = [v for v in values if math.isfinite(v)]
    shown: np.ndarray = np.array(finite or [1.0], float)
    if log:
        shown = np.log(shown[shown > 0])
    # Differences of values of 1e308 overflow.
    shown = np.clip(shown, -1e100, 1e100)
    low, first, third, high = np.quantile(shown, [0, 0.25, 0.75, 1])
    # Tukey's outer fences; they need another width if half of the values are equal.
    fence = 3 * (third - first) or 10 * max(abs(first), 1e-6)
    near = shown[(shown >= first - fence) & (shown <= third + fence)]
    if higher is True and high - low > STRETCHED * (high - near.min()):
        low = near.min()
    if higher is False and high - low > STRETCHED * (near.max() - low):
        high = near.max()
    space = 0.05 * (high - low) or (0.1 if log else 0.05 * abs(high)) or 1.0
    low, high = low - space, high + space
    return (math.exp(low), math.exp(high)) if log else (float(low), float(high))


def ticks(
    low: float, high: float, log: bool, whole: bool = False, most: int = 6
) -> list[float]:
    """Round numbers between two limits, about `most` of them."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    locator = MaxNLocator(most, integer=whole, steps=[1, 2, 2.5, 5, 10])
    linear = _inside(locator.tick_values(low, high), low, high)
    if log:
        for subs in ([1.0], [1.0, 3.0], [1.0, 2.0, 5.0]):
            values = LogLocator(subs=subs, numticks=6).tick_values(low, high)
            inside = _inside(values, low, high)
            if len(inside) >= 3:
                return inside
    return linear or [low]


def _inside(values: Iterable[float], low: float, high: float) -> list[float]:
    slack = 1e-9 * abs(high - low)
    return [float(v) for v in values if low - slack <= v <= high + slack]
