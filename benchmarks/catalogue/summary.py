"""What the runs of each cell come to: mean and spread over the seeds."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Summary:
    """The runs of one cell on one task that were tested.

    Attributes:
        cell: its name.
        task: what it was trained on.
        start: the chosen start: "default" or a recipe.
        rate: the chosen learning rate.
        scores: on the test part, of the runs that did not diverge.
        runs: how many were tested.
        trials: how many settings were tried in the search.
        diverged_trials: how many of these diverged.
        parameters: of the cell.
        engine: that trains it.
        updates: in a run, the mean of those that did not diverge, if there are any.
        step_ms: milliseconds of an update, the median of the same runs.
    """

    cell: str
    task: str
    start: str
    rate: float
    scores: tuple[float, ...]
    runs: int
    trials: int
    diverged_trials: int
    parameters: int
    engine: str
    updates: float
    step_ms: float

    @property
    def diverged(self) -> int:
        """How many of the tested runs diverged."""
        return self.runs - len(self.scores)

    @property
    def mean(self) -> float | None:
        """The mean of the scores; None where every run diverged."""
        return statistics.fmean(self.scores) if self.scores else None

    @property
    def spread(self) -> float | None:
        """The standard deviation of the scores; None for fewer than two."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None


def summaries(runs: list[dict[str, Any]]) -> list[Summary]:
    """A summary for each cell and task that was tested, by the name of the cell.

    Args:
        runs: as `runs.Kept` keeps them.
    """
    found: dict[tuple[str, str], dict[str, list]] = {}
    for run in runs:
        stages = found.setdefault(
            (run["cell"], run["task"]), {"search": [], "test": []}
        )
        stages[run["stage"]].append(run)
    return [
        _summary(stages["search"], stages["test"])
        for _, stages in sorted(found.items())
        if stages["test"]
    ]


def _summary(searched, tested):
    first = tested[0]
    ended = [run for run in tested if run["score"] is not None]
    # A run that diverged stopped early.
    timed = ended or tested
    return Summary(
        cell=first["cell"],
        task=first["task"],
        start=first["start"],
        rate=first["rate"],
        scores=tuple(run["score"] for run in ended),
        runs=len(tested),
        trials=len(searched),
        diverged_trials=sum(run["score"] is None for run in searched),
        parameters=first["parameters"],
        engine=first["engine"],
        updates=statistics.fmean(run["updates"] for run in timed),
        step_ms=statistics.median(run["step_ms"] for run in timed),
    )
