"""The record of a trial: all that KerasTuner does not keep."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

# How a trial ended. Only COMPLETED trials can win.
COMPLETED = "completed"
STOPPED = "stopped"
DIVERGED = "diverged"
FAILED = "failed"
RUNNING = "running"


@dataclasses.dataclass
class Record:
    """The record of a trial.

    Attributes:
        values: its hyperparameters.
        attempt: how often it was started. Reports of earlier attempts do not count.
        status: "running", "completed", "stopped" (as hopeless), "diverged" or "failed".
        reason: why it ended before its last epoch, or None.
        score: the objective of its best epoch before any divergence, or None.
        best_epoch: number of that epoch, from 1, or None.
        worker: the worker that runs or ran it.
        began: its start, in seconds since the search began.
        seconds: how long it ran.
        facts: values measured of the model: "parameters", "step_ms", "latency_ms".
        of: id of the trial that it trains again, or None.
        run: number of the training with these hyperparameters.
        message: the error that it failed with, or None.
        history: the logs of its epochs, a list for each name.
    """

    values: dict[str, Any]
    attempt: int = 1
    status: str = RUNNING
    reason: str | None = None
    score: float | None = None
    best_epoch: int | None = None
    worker: str = ""
    began: float = 0.0
    seconds: float | None = None
    facts: dict[str, float] = dataclasses.field(default_factory=dict)
    of: str | None = None
    run: int = 0
    message: str | None = None
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        """Its part of a snapshot, without the history, which is in the log."""
        fields = dataclasses.asdict(self)
        del fields["history"]
        return fields

    def add(self, epoch: int, logs: dict[str, float]) -> None:
        """Adds the logs of an epoch, numbered from 0, or replaces them."""
        for name in self.history.keys() | logs.keys():
            values = self.history.setdefault(name, [])
            values += [math.nan] * (epoch - len(values))
            values[epoch:] = [logs.get(name, math.nan)]

    def forget(self) -> None:
        """Starts it again, as another attempt."""
        self.attempt += 1
        self.status, self.reason, self.score, self.best_epoch = (
            RUNNING,
            None,
            None,
            None,
        )
        self.seconds, self.message = None, None
        self.facts, self.history = {}, {}

    @property
    def final_score(self) -> float:
        """The score of a completed trial, which has one."""
        assert self.score is not None
        return self.score

    @property
    def epochs(self) -> int:
        """Number of epochs that it has run."""
        return max(map(len, self.history.values()), default=0)
