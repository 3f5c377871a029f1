"""Rules that stop trials that are hopeless compared with the others."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from keras_rnnx._errors import unknown

# A rule gets the objective of a trial after each of its epochs (lower is better), and
# the same of the other trials; it returns the reason to stop, or None.
Rule = Callable[[Sequence[float], Sequence[Sequence[float]]], str | None]
# A function from the objective after each epoch to what a trial has achieved so far.
Achieved = Callable[[Sequence[float]], float]

# So many other trials must have reached the same epoch.
ENOUGH = 4


def last(values: Sequence[float]) -> float:
    """The last value: for means over folds, the mean over all folds so far."""
    return values[-1]


def rule(name: str | None, epochs: int, achieved: Achieved = min) -> Rule:
    """The rule with a name.

    Args:
        name: "median", "asha", or None: no trial is stopped.
        epochs: largest number of epochs of a trial.
        achieved: computes what a trial has achieved so far. Default: its best value.

    Raises:
        ValueError: for an unknown name.
    """
    rules: dict[str, Callable[..., Rule]] = {"median": median, "asha": asha}
    if name is None:
        return lambda mine, others: None
    if name not in rules:
        raise unknown("rule of `stopping`", name, [*rules, "None"])
    return rules[name](epochs, achieved=achieved)


def median(epochs: int, achieved: Achieved = min) -> Rule:
    """Stops a trial whose best so far is worse than the median of the others.

    The median is over the best values so far of all trials that reached the same epoch.
    The rule applies from a fifth of the epochs on, and from the second epoch at the
    earliest. Golovin et al. 2017, "Google Vizier: A service for black-box
    optimization".

    Args:
        epochs: largest number of epochs of a trial.
        achieved: computes what a trial has achieved so far. Default: its best value.
    """
    first = max(2, math.ceil(epochs / 5))

    def decide(mine: Sequence[float], others: Sequence[Sequence[float]]) -> str | None:
        epoch = len(mine)
        if not first <= epoch < epochs:
            return None
        bests = [achieved(values[:epoch]) for values in others if len(values) >= epoch]
        if len(bests) < ENOUGH or achieved(mine) <= statistics.median(bests):
            return None
        return f"worse than the median of {len(bests)} trials after epoch {epoch}"

    return decide


def asha(epochs: int, factor: int = 2, achieved: Achieved = min) -> Rule:
    """Asynchronous successive halving: the better half of a rung goes on to the next.

    The first rung is at a fifth of the epochs, at the second epoch at the earliest;
    each further rung is at `factor` times as many. Li et al. 2020, arXiv:1810.05934, in
    the form that stops trials.

    Args:
        epochs: largest number of epochs of a trial.
        factor: one of so many trials goes on. Default 2.
        achieved: computes what a trial has achieved so far. Default: its best value.
    """
    first = max(2, math.ceil(epochs / 5))
    rungs: list[int] = []
    while first * factor ** len(rungs) < epochs:
        rungs.append(first * factor ** len(rungs))

    def decide(mine: Sequence[float], others: Sequence[Sequence[float]]) -> str | None:
        epoch = len(mine)
        if epoch not in rungs:
            return None
        bests = [achieved(values[:epoch]) for values in others if len(values) >= epoch]
        bests = sorted([*bests, achieved(mine)])
        # The first trials of a rung go on, since there are no others to compare.
        kept = max(1, math.ceil(len(bests) / factor))
        if len(bests) <= factor or achieved(mine) <= bests[kept - 1]:
            return None
        return f"not among the best {kept} of {len(bests)} trials after epoch {epoch}"

    return decide
