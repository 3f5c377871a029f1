"""Shows a search in a terminal while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich.console
import rich.live
import rich.table

if TYPE_CHECKING:
    from keras_rnnx.tuner import Progress


class LiveSearch(rich.live.Live):
    """A line for each ended trial, and a table of the running ones.

    Args:
        console: the console to print to.
        objective: the logged name of the objective.
        direction: "min" or "max", which is better.
        trials: number of trials, or None.
        budget: seconds, or None.
        workers: number of processes that run trials.
    """

    def __init__(
        self,
        console: rich.console.Console,
        objective: str,
        direction: str,
        trials: int | None,
        budget: float | None,
        workers: int,
    ):
        super().__init__(console=console, transient=True, refresh_per_second=4)
        self._objective, self._direction = objective, direction
        self._trials, self._budget, self._workers = trials, budget, workers
        self._running: dict[int, Progress] = {}
        self._ended = self._again = 0
        # Score, number and model of the best trial.
        self._best: tuple[float, int, str] | None = None

    def __call__(self, event: Progress) -> None:
        """Shows a `keras_rnnx.tuner.Progress`."""
        if event.row is None:
            self._running[event.trial] = event
        else:
            self._running.pop(event.trial, None)
            self._end(event, event.row)
        self.update(self._table(event.seconds))

    def _end(self, event: Progress, row: dict[str, Any]) -> None:
        score = "no score" if row["score"] is None else f"{row['score']:.4f}"
        if event.again is None:
            self._ended += 1
            of = f"/{self._trials}" if self._trials else ""
            name = f"trial {event.trial}{of}: {self._model(row)}"
        else:
            self._again += 1
            name = f"trial {event.again} again"
        why = row["message"] or row["reason"]
        status = "" if row["status"] == "completed" else f", {row['status']}"
        self.console.print(
            f"{name}, {self._objective} {score}, {row['epochs']} epochs, "
            f"{row['seconds']:.0f} s{status}{f': {why}' if why else ''}",
            markup=False,
        )
        sign = 1 if self._direction == "min" else -1
        better = self._best is None or sign * row["score"] < sign * self._best[0]
        if row["status"] == "completed" and event.again is None and better:
            self._best = row["score"], event.trial, self._model(row)

    def _model(self, row: dict[str, Any]) -> str:
        units = ", ".join(map(str, row["units"] or []))
        return " ".join(filter(None, [row["cell"], f"[{units}]"])) or "a model"

    def _table(self, seconds: float) -> rich.table.Table:
        table = rich.table.Table(box=None, padding=(0, 2, 0, 0), title_justify="left")
        table.title = self._title(seconds)
        for name in ("running", "worker", "epoch", self._objective):
            table.add_column(name, justify="left")
        for event in self._running.values():
            value = event.logs.get(self._objective)
            name = f"trial {event.trial}"
            if event.again is not None:
                name = f"trial {event.again} again"
            table.add_row(
                name,
                event.worker,
                f"{event.epoch}/{event.epochs}",
                "" if value is None else f"{value:.4f}",
            )
        return table

    def _title(self, seconds: float) -> str:
        of = f" of {self._trials}" if self._trials else ""
        parts = [f"{self._ended}{of} trials", f"{_time(seconds)} so far"]
        left = self._left(seconds)
        if left is not None:
            parts.append(f"about {_time(left)} left")
        if self._best is not None:
            score, trial, model = self._best
            parts.append(f"best {score:.4f} (trial {trial}, {model})")
        return ", ".join(parts)

    def _left(self, seconds: float) -> float | None:
        """Seconds until the last trial of the search has ended, or None."""
        if self._budget is not None:
            return max(0.0, self._budget - seconds)
        if not self._ended or not self._trials:
            return None
        return seconds / self._ended * max(0, self._trials - self._ended)


def _time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
