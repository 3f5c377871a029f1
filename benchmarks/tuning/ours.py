"""One run of `keras_rnnx.tuner.search`."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from benchmarks.tuning.curves import Point
from benchmarks.tuning.methods import Ours


class Watch:
    """Notes when each epoch of each trial was reported.

    Two epochs may be reported at once: the later event stands for both.
    """

    def __init__(self):
        self.start = time.perf_counter()
        self.seen: dict[int, list[tuple[float, int]]] = {}

    def __call__(self, event: Any) -> None:
        seen = self.seen.setdefault(event.trial, [])
        # A trial that is run again, because its worker is gone, begins anew.
        while seen and seen[-1][1] > event.epoch:
            seen.pop()
        seen.append((time.perf_counter() - self.start, event.epoch))

    def when(self, trial: int, epoch: int) -> float:
        """Seconds after which an epoch, numbered from 1, was known."""
        times = [second for second, until in self.seen.get(trial, ()) if until >= epoch]
        return min(times, default=math.inf)


def run(
    task: Any,
    how: Ours,
    seed: int,
    seconds: float,
    max_epochs: int,
    preset: str,
    folder: Path,
) -> dict[str, Any]:
    """Searches until the time is over.

    Of trials that ended as complete all epochs count. Those that a rule stopped can't
    win, and don't count.

    Returns:
        "points", "test", "trials", "epochs", "parameters", "parameters_of_best" and
        "wall", the seconds that the call took.
    """
    from keras_rnnx.tuner import search

    watch = Watch()
    result = search(
        task,
        preset=preset,
        budget=seconds,
        max_epochs=max_epochs,
        tuner=how.tuner,
        stopping=how.stopping,
        workers=how.workers if how.workers > 1 else None,
        finalists=0,
        seed=seed,
        directory=folder,
        progress=watch,
    )
    wall = time.perf_counter() - watch.start
    board = json.loads((folder / "leaderboard.json").read_text(encoding="utf-8"))
    rows = board["trials"]
    return {
        "points": points(rows, result.objective, watch),
        "test": result.test,
        "trials": counts(rows, seconds),
        "epochs": sum(row["epochs"] for row in rows),
        "parameters": [row["parameters"] for row in rows],
        "parameters_of_best": rows[0]["parameters"],
        "wall": wall,
    }


def points(rows: list[dict], objective: str, watch: Watch) -> list[Point]:
    """Seconds and objective of all epochs that count."""
    return [
        (watch.when(row["trial"], epoch), value)
        for row in rows
        if row["status"] == "completed"
        for epoch, value in enumerate(row["history"][objective], start=1)
    ]


def counts(rows: list[dict], seconds: float) -> dict[str, int]:
    """How many trials began, ended by themselves in time, or were stopped."""

    def in_time(row):
        return row["began"] + row["seconds"] < seconds

    own = [row for row in rows if row["status"] in ("completed", "diverged")]
    return {
        "begun": len(rows),
        "ended": sum(map(in_time, own)),
        "stopped": sum(row["status"] == "stopped" for row in rows),
    }
