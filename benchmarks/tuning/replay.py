"""Rules that stop trials, replayed over trials that ran to their end."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# As in `keras_rnnx.tuner._state.stopping`.
Rule = Callable[[Sequence[float], Sequence[Sequence[float]]], str | None]


class Trial(NamedTuple):
    """A trial that ran to its end.

    Attributes:
        losses: the objective after each epoch, less being better, up to a divergence.
        epochs: how many it ran, with the one that diverged.
        counts: whether it can win: it did not diverge.
    """

    losses: tuple[float, ...]
    epochs: int
    counts: bool


class Outcome(NamedTuple):
    """What becomes of trials under a rule, in one order.

    Attributes:
        epochs: how many are run.
        stopped: the numbers of the trials that are stopped.
        best: the least loss of those that are not, infinity without any.
    """

    epochs: int
    stopped: frozenset[int]
    best: float


class Measures(NamedTuple):
    """What a rule saves and costs, over many orders.

    Attributes:
        saved: the share of epochs that are not run.
        missed: the share of orders in which the best trial is stopped; of several that
            are best, all of them.
        loss: by how much the best score is worse than without the rule, the mean. Where
            no trial is left, it is that of the worst.
        worst: the same, the largest.
    """

    saved: float
    missed: float
    loss: float
    worst: float


def replay(trials: Sequence[Trial], order: Sequence[int], rule: Rule) -> Outcome:
    """Runs trials one after the other, as if a rule watched.

    Each is compared with those before it, as far as these were run.

    Args:
        trials: the trials.
        order: their numbers, in the order in which they run.
        rule: from the losses of a trial and those of others to a reason, or None.
    """
    ran: list[Sequence[float]] = []
    stopped, epochs, best = set(), 0, math.inf
    for number in order:
        trial = trials[number]
        until = trial.epochs
        for epoch in range(1, len(trial.losses) + 1):
            if rule(trial.losses[:epoch], ran):
                stopped.add(number)
                until = epoch
                break
        ran.append(trial.losses[:until])
        epochs += until
        if trial.counts and number not in stopped:
            best = min(best, min(trial.losses))
    return Outcome(epochs, frozenset(stopped), best)


def measures(
    trials: Sequence[Trial], rule: Rule, resamples: int = 400, seed: int = 0
) -> Measures:
    """Replays a rule over random orders of trials.

    Args:
        trials: the trials, one of which can win.
        rule: the rule.
        resamples: number of orders.
        seed: of the orders.
    """
    finals = [min(trial.losses) for trial in trials if trial.counts]
    best, worst = min(finals), max(finals)
    whole = sum(trial.epochs for trial in trials)
    shuffle = random.Random(seed).shuffle
    epochs, missed, losses = 0, 0, []
    for _ in range(resamples):
        order = list(range(len(trials)))
        shuffle(order)
        outcome = replay(trials, order, rule)
        epochs += outcome.epochs
        missed += outcome.best > best
        losses.append(min(outcome.best, worst) - best)
    return Measures(
        saved=1 - epochs / (resamples * whole),
        missed=missed / resamples,
        loss=sum(losses) / resamples,
        worst=max(losses),
    )


def read(folder: Path) -> tuple[dict[str, Any], list[Trial]]:
    """The search in a folder, and its trials.

    Raises:
        ValueError: if it has not ended, or stopped trials itself.
    """
    path = folder / "leaderboard.json"
    if not path.exists():
        raise ValueError(f"{path} is not there: run the search to its end.")
    board = json.loads(path.read_text(encoding="utf-8"))
    if board["stopping"] is not None:
        raise ValueError(
            f"{folder} is a search with stopping={board['stopping']!r}: of those that "
            f"were stopped nobody knows the rest. Search with stopping=None."
        )
    trials = [
        _trial(row["history"], board)
        for row in board["trials"]
        if row["status"] in ("completed", "diverged")
    ]
    trials = [trial for trial in trials if trial.epochs]
    if not any(trial.counts for trial in trials):
        raise ValueError(f"{folder} has no trial that can win.")
    return board, trials


def _trial(history, board):
    sign = 1 if board["direction"] == "min" else -1
    rows = list(zip(*history.values()))
    finite = [all(v is not None and math.isfinite(v) for v in row) for row in rows]
    until = finite.index(False) if False in finite else len(rows)
    values = history.get(board["objective"], [])[:until]
    return Trial(tuple(sign * v for v in values), len(rows), until == len(rows) > 0)
