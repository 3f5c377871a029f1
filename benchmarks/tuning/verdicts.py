"""Which method is best, and whether the difference is more than chance."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from benchmarks.tuning.methods import is_ours

BETTER, LEVEL, WORSE = "better than", "level with", "worse than"


class Summary(NamedTuple):
    """The runs of a method on a task.

    Attributes:
        method: its name.
        runs: how many there are.
        missing: how many of them have no score.
        mean, spread: of the best validation scores; NaN without any.
        test_mean, test_spread: of what stands for the objective on the test part.
        trials, stopped, epochs: means over the runs.
    """

    method: str
    runs: int
    missing: int
    mean: float
    spread: float
    test_mean: float
    test_spread: float
    trials: float
    stopped: float
    epochs: float


def summary(method: str, runs: Sequence[dict[str, Any]]) -> Summary:
    """What the runs of a method on a task give."""
    scores = [run["best"] for run in runs if run["best"] is not None]
    name = runs[0]["objective"][0].removeprefix("val_")
    tests = [run["test"][name] for run in runs if name in (run["test"] or {})]
    return Summary(
        method,
        len(runs),
        len(runs) - len(scores),
        *_mean_and_spread(scores),
        *_mean_and_spread(tests),
        statistics.mean(run["trials"]["begun"] for run in runs),
        statistics.mean(run["trials"]["stopped"] for run in runs),
        statistics.mean(run["epochs"] for run in runs),
    )


def _mean_and_spread(values):
    if not values:
        return math.nan, math.nan
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return statistics.mean(values), spread


def summaries(runs: Iterable[dict[str, Any]]) -> dict[str, list[Summary]]:
    """By tasks, what each method gives, in the order in which they are first met."""
    grouped: dict[str, dict[str, list[dict]]] = {}
    for run in runs:
        grouped.setdefault(run["task"], {}).setdefault(run["method"], []).append(run)
    return {
        task: [summary(method, found) for method, found in methods.items()]
        for task, methods in grouped.items()
    }


def best(found: Iterable[Summary], direction: str) -> Summary | None:
    """The method with the best mean; one that lacks scores comes behind others."""
    return min(found, key=lambda one: _rank(one, direction), default=None)


def _rank(one, direction):
    sign = 1 if direction == "min" else -1
    mean = math.inf if math.isnan(one.mean) else sign * one.mean
    return one.missing / one.runs, mean


def verdict(mine: Summary, other: Summary, direction: str) -> str:
    """How a method compares with another.

    They are level where their means differ by no more than one standard deviation, the
    root of the mean of both variances. Of two that lack scores the one that lacks more
    is worse.

    Returns:
        `BETTER`, `LEVEL` or `WORSE`.
    """
    first, second = _rank(mine, direction), _rank(other, direction)
    if first[0] != second[0]:
        return BETTER if first[0] < second[0] else WORSE
    if math.isinf(first[1]) or math.isinf(second[1]):
        return LEVEL
    spread = math.sqrt((mine.spread**2 + other.spread**2) / 2)
    if abs(first[1] - second[1]) <= spread:
        return LEVEL
    return BETTER if first[1] < second[1] else WORSE


def against_theirs(
    found: Sequence[Summary], direction: str
) -> dict[str, tuple[str, str]]:
    """By our methods, the verdict beside the best of KerasTuner's, and its name."""
    theirs = best([one for one in found if not is_ours(one.method)], direction)
    if theirs is None:
        return {}
    return {
        one.method: (verdict(one, theirs, direction), theirs.method)
        for one in found
        if is_ours(one.method)
    }


def totals(tasks: Iterable[dict[str, tuple[str, str]]]) -> dict[str, dict[str, int]]:
    """By our methods, on how many tasks each verdict was given."""
    found: dict[str, dict[str, int]] = {}
    for verdicts in tasks:
        for method, (one, _) in verdicts.items():
            counts = found.setdefault(method, {BETTER: 0, LEVEL: 0, WORSE: 0})
            counts[one] += 1
    return found
