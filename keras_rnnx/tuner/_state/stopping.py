"""Rules that stop trials which are hopeless beside the others."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from keras_rnnx._errors import unknown

# A rule gets the objective of a trial after each of its epochs, less being better, and
# those of the other trials; it gives the reason to stop, or None.
Rule = Callable[[Sequence[float], Sequence[Sequence[float]]], str | None]
# What a trial has achieved so far, from its objective after each epoch.
Achieved = Callable[[Sequence[float]], float]

# So many others must have come as far.
ENOUGH = 4


def last(values: Sequence[float]) -> float:
    """The last value: of means over folds that is the mean over all so far."""
    return values[-1]


def rule(name: str | None, epochs: int, achieved: Achieved = min) -> Rule:
    """The rule of a name.

    Args:
        name: "median", "asha", or None: no trial is stopped.
        epochs: most epochs of a trial.
        achieved: what a trial has achieved so far. Default: its best.

    Raises:
        ValueError: for another name.
    """
    rules: dict[str, Callable[..., Rule]] = {"median": median, "asha": asha}
    if name is None:
        return lambda mine, others: None
    if name not in rules:
        raise unknown("rule of `stopping`", name, [*rules, "None"])
    return rules[name](epochs, achieved=achieved)


def median(epochs: int, achieved: Achieved = min) -> Rule:
    """Stops a trial whose best so far is worse than the median of the others.

    The median is over the bests so far of all trials that came as far, from a fifth of
    the epochs on and the second at the earliest. Golovin et al. 2017, "Google Vizier: A
    service for black-box optimization".

    Args:
        epochs: most epochs of a trial.
        achieved: what a trial has achieved so far. Default: its best.
    """
    first = max(2, math.ceil(epochs / 5))

    def decide(mine, others):
        epoch = len(mine)
        if not first <= epoch < epochs:
            return None
        bests = [achieved(one[:epoch]) for one in others if len(one) >= epoch]
        if len(bests) < ENOUGH or achieved(mine) <= statistics.median(bests):
            return None
        return f"worse than the median of {len(bests)} trials after epoch {epoch}"

    return decide


def asha(epochs: int, factor: int = 2, achieved: Achieved = min) -> Rule:
    """Asynchronous successive halving: the better half of a rung goes on to the next.

    Rungs are at a fifth of the epochs, the second at the earliest, and at `factor`
    times as many each. Li et al. 2020, arXiv:1810.05934, in the form that stops trials.

    Args:
        epochs: most epochs of a trial.
        factor: one of so many goes on. Default 2.
        achieved: what a trial has achieved so far. Default: its best.
    """
    first = max(2, math.ceil(epochs / 5))
    rungs: list[int] = []
    while first * factor ** len(rungs) < epochs:
        rungs.append(first * factor ** len(rungs))

    def decide(mine, others):
        epoch = len(mine)
        if epoch not in rungs:
            return None
        bests = [achieved(one[:epoch]) for one in others if len(one) >= epoch]
        bests = sorted([*bests, achieved(mine)])
        # The first ones of a rung go on: there is nothing to compare them with.
        kept = max(1, math.ceil(len(bests) / factor))
        if len(bests) <= factor or achieved(mine) <= bests[kept - 1]:
            return None
        return f"not among the best {kept} of {len(bests)} trials after epoch {epoch}"

    return decide
