"""Reads `leaderboard.json` of a search, as typed data."""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

# A number in a reason.
NUMBER = re.compile(r"\d(?:[\d.,e+-]*\d)?")
# In the order in which the report names them.
STATUSES = ("completed", "stopped", "diverged", "failed", "refused", "running")


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """One trial, with the fields of a row of `leaderboard.json`.

    Attributes:
        score: the best value of the objective; None if there is none, or if it is not
            finite.
        values: the hyperparameters that the trial uses, including the cell.
    """

    trial: int
    status: str
    rank: int | None = None
    reason: str | None = None
    score: float | None = None
    best_epoch: int | None = None
    cell: str | None = None
    hyperparameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    epochs: int = 0
    parameters: int | None = None
    seconds: float | None = None
    began: float | None = None
    worker: str | None = None
    step_ms: float | None = None
    latency_ms: float | None = None
    seeds: list[float] = dataclasses.field(default_factory=list)
    mean: float | None = None
    spread: float | None = None
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    message: str | None = None

    @functools.cached_property
    def values(self) -> dict[str, Any]:
        # KerasTuner's Hyperband keeps its own values under "tuner/".
        values = {
            str(name): value
            for name, value in self.hyperparameters.items()
            if not str(name).startswith("tuner/")
        }
        return values if self.cell is None else {"cell": self.cell} | values

    @property
    def value(self) -> float:
        """The score of a trial that has one; else NaN."""
        return math.nan if self.score is None else self.score

    @property
    def kind(self) -> str:
        """Why it ended, with numbers replaced, so that equal reasons are grouped."""
        if self.status == "failed" and self.message:
            error = self.message.strip().splitlines()[-1]
            name = re.match(r"[\w.]*", error)
            assert name is not None
            return name[0] or "an error"
        return NUMBER.sub("N", self.reason or "no reason given")


@dataclasses.dataclass(frozen=True, eq=False)
class Search:
    """A whole search, with the fields of `leaderboard.json`, trials best first."""

    trials: list[Trial]
    objective: str = "score"
    direction: str = "min"
    task: str | None = None
    description: str | None = None
    tuner: str | None = None
    stopping: str | None = None
    max_epochs: int | None = None
    workers: int | None = None
    seconds: float | None = None
    backend: str | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    command: str | None = None
    test: dict[str, float] | None = None
    test_runs: list[dict[str, float]] = dataclasses.field(default_factory=list)
    code: str | None = None
    explain: str | None = None

    @property
    def higher(self) -> bool:
        """Whether a higher score is better."""
        return self.direction == "max"

    @functools.cached_property
    def completed(self) -> list[Trial]:
        """The trials that can win."""
        return [
            t for t in self.trials if t.status == "completed" and t.score is not None
        ]

    @property
    def best(self) -> Trial | None:
        return self.completed[0] if self.completed else None

    @functools.cached_property
    def counts(self) -> dict[str, int]:
        """The number of trials with each status that occurs."""
        statuses = collections.Counter(trial.status for trial in self.trials)
        others = sorted(set(statuses) - set(STATUSES))
        return {name: statuses[name] for name in (*STATUSES, *others) if statuses[name]}

    @functools.cached_property
    def varying(self) -> list[str]:
        """Names of hyperparameters that differ between trials, or that some lack."""
        return [n for n in self.names if not self._shared(n)]

    @functools.cached_property
    def shared(self) -> dict[str, Any]:
        """Hyperparameters that have the same value in all trials."""
        first = self.trials[0].values if self.trials else {}
        return {name: first[name] for name in self.names if self._shared(name)}

    @functools.cached_property
    def common(self) -> list[str]:
        """Names of varying hyperparameters that all trials have."""
        return [n for n in self.varying if all(n in t.values for t in self.trials)]

    @functools.cached_property
    def names(self) -> list[str]:
        """Names of all hyperparameters, in the order in which they first occur."""
        return list(dict.fromkeys(name for t in self.trials for name in t.values))

    @functools.cached_property
    def cells(self) -> list[str]:
        """Names of the cells, the one with the best score first."""
        return list(dict.fromkeys(t.cell for t in self.trials if t.cell is not None))

    def _shared(self, name: str) -> bool:
        values = {repr(trial.values.get(name, Ellipsis)) for trial in self.trials}
        return len(values) == 1


def read(path: Path) -> Search:
    """Reads a `leaderboard.json`; unknown fields are ignored.

    Raises:
        FileNotFoundError: if there is no file.
    """
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    trials = [_trial(row) for row in data["trials"]]
    trials.sort(key=lambda trial: math.inf if trial.rank is None else trial.rank)
    return Search(**_known(Search, data) | {"trials": trials})


def _trial(row: dict[str, Any]) -> Trial:
    row = _known(Trial, row)
    for name in (
        "score",
        "mean",
        "spread",
        "seconds",
        "began",
        "step_ms",
        "latency_ms",
    ):
        row[name] = finite(row.get(name))
    return Trial(**row)


def _known(cls: type[Any], row: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(cls)}
    # A null means the default, such as an empty list.
    return {n: value for n, value in row.items() if n in names and value is not None}


def finite(value: Any) -> float | None:
    """`value` if it is a finite number, else None."""
    if isinstance(value, (int, float)) and math.isfinite(value):
        return value
    return None


def measured(trials: list[Trial], cost: Callable[[Trial], float | None]) -> list[Trial]:
    """The trials that have a cost above 0."""
    return [trial for trial in trials if (cost(trial) or 0) > 0]
