"""The result of a search, as data and as files."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras

from keras_rnnx._errors import unknown
from keras_rnnx.inspection.table import Table
from keras_rnnx.tuner._state import finals
from keras_rnnx.tuner._state.oracle import SearchOracle
from keras_rnnx.tuner._state.records import COMPLETED, Record
from keras_rnnx.tuner.files import write_bytes, write_json, write_model

LEADERBOARD = "leaderboard.json"
# The order of statuses in the leaderboard.
_ORDER = ("completed", "stopped", "diverged", "running", "failed")


class Ranked(NamedTuple):
    """One row of a leaderboard for a table of 80 characters."""

    rank: int
    trial: int
    model: str
    score: str
    seeds: str
    epochs: int
    parameters: str
    seconds: float


@dataclasses.dataclass(frozen=True, eq=False)
class SearchResult:
    """The result of a search.

    Attributes:
        leaderboard: a dict for each trial, the best first: `rank`, `trial` (its
            number, from 1), `status` ("completed", "stopped", "diverged", "failed", or
            "running" if the search was cut off), `reason` (why it ended before its
            last epoch, or None), `score` (of its best epoch, or None), `best_epoch`,
            `seeds` (the scores of all trainings of a finalist), `mean` and `spread`
            (their standard deviation), `cell`, `layers`, `units`, `hyperparameters`,
            `epochs`, `parameters`, `step_ms`, `latency_ms`, `seconds`, `began`,
            `worker` and `message` (the error, if it failed).
        model: the best model, with the weights of its best epoch.
        hyperparameters: its hyperparameters by name.
        history: its logs, a list over the epochs for each name.
        test: its metrics on the test data, by name; None without test data.
        tests: the same of all of its trainings with other seeds.
        objective: the logged name that the leaderboard is sorted by.
        direction: "min" or "max", which is better.
        code: Python code that makes and trains the model; None for your own
            hypermodel.
        directory: the folder of the files: `best_model.keras`,
            `best_hyperparameters.json`, `history.json`, `best_model.py` and
            `leaderboard.json`.
    """

    leaderboard: list[dict[str, Any]]
    model: keras.Model
    hyperparameters: dict[str, Any]
    history: dict[str, list[float]]
    test: dict[str, float] | None
    tests: list[dict[str, float]]
    objective: str
    direction: str
    code: str | None
    directory: Path

    def table(self) -> Table:
        """The leaderboard as a list of named tuples that shows as a table."""
        return Table(_ranked(row) for row in self.leaderboard)

    def describe(self) -> str:
        """The best model's hyperparameters on one line, without cell and units."""
        cell = self.leaderboard[0]["cell"]
        return ", ".join(
            f"{name.removeprefix(f'{cell}/')} "
            + (f"{value:.3g}" if isinstance(value, float) else str(value))
            for name, value in self.hyperparameters.items()
            if name not in ("cell", "layers", "units")
        )

    def pareto(self, by: str = "parameters") -> list[dict[str, Any]]:
        """The trials that no other trial beats in both quality and cost.

        Args:
            by: the cost: "parameters", "seconds", "step_ms" or "latency_ms". Default
                "parameters".

        Returns:
            Rows of the leaderboard, the cheapest first.

        Raises:
            ValueError: for an unknown cost, and for one that was not measured.
        """
        costs = ("parameters", "seconds", "step_ms", "latency_ms")
        if by not in costs:
            raise unknown("cost", by, costs)
        sign = 1 if self.direction == "min" else -1
        rows = [row for row in self.leaderboard if row["status"] == COMPLETED]
        if any(row[by] is None for row in rows):
            raise ValueError(
                f"{by!r} was not measured: pass `max_{by}` to the search, as large as "
                f"you like."
            )
        rows.sort(key=lambda row: (row[by], sign * row["score"]))
        front: list[dict[str, Any]] = []
        for row in rows:
            if not front or sign * row["score"] < sign * front[-1]["score"]:
                front.append(row)
        return front

    def report(self) -> Path:
        """Writes a page about the search, and its figures.

        Returns:
            The path of `report.html`, which needs no network.

        Raises:
            ImportError: without the extra `report`.
        """
        from keras_rnnx.tuner import reporting

        return reporting.write(self.directory)

    def save(self, about: dict[str, Any], histories: dict[int, Any]) -> None:
        """Writes the files into `directory`, each in one step.

        Args:
            about: facts about the whole search, for the report.
            histories: the history of each trial, by its number.
        """
        write_model(self.directory / "best_model.keras", self.model)
        write_json(self.directory / "best_hyperparameters.json", self.hyperparameters)
        write_json(self.directory / "history.json", self.history)
        if self.code is not None:
            write_bytes(self.directory / "best_model.py", self.code.encode())
        board = {
            **about,
            "objective": self.objective,
            "direction": self.direction,
            "test": self.test,
            "test_runs": self.tests,
            "code": self.code,
            "trials": [
                {**row, "history": histories[row["trial"]]} for row in self.leaderboard
            ],
        }
        write_json(self.directory / LEADERBOARD, board)


def _ranked(row: Mapping[str, Any]) -> Ranked:
    units = _units(row)
    score = "" if row["score"] is None else f"{row['score']:.4f}"
    seeds = ""
    if len(row["seeds"]) > 1:
        seeds = f"{row['mean']:.4f} ± {row['spread']:.4f}"
    elif row["status"] != COMPLETED:
        seeds = row["status"]
    return Ranked(
        row["rank"],
        row["trial"],
        " ".join(filter(None, [row["cell"], units])) or "own",
        score,
        seeds,
        row["epochs"],
        "" if row["parameters"] is None else f"{row['parameters']:,}",
        row["seconds"],
    )


def _units(row: Mapping[str, Any]) -> str:
    """The units of the layers of a trial, as in "3 x 108"."""
    if not row["units"]:
        return ""
    count = f"{row['layers']} x " if row["layers"] > 1 else ""
    return f"{count}{row['units'][0]}"


# A function from a record to the cell, the layers and the units of its model, by name.
Shape = Callable[[Record], Mapping[str, Any]]


def row_of(oracle: SearchOracle, key: str, shape: Shape) -> dict[str, Any]:
    """The leaderboard's row of a trial, without its rank.

    Args:
        oracle: the oracle.
        key: the id of the trial.
        shape: returns the cell, the layers and the units of its model.
    """
    record: Record = oracle.records[key]
    model = shape(record)
    layers, units = model.get("layers"), model.get("units")
    again = any(other.of == key for other in oracle.records.values())
    seeds = finals.scores(oracle.records, key) if again else []
    facts = record.facts
    parameters, latency = facts.get("parameters"), facts.get("latency_ms")
    return {
        "trial": int(key) + 1,
        "status": record.status,
        "reason": record.reason,
        "score": record.score,
        "best_epoch": record.best_epoch,
        "seeds": seeds,
        "mean": statistics.mean(seeds) if seeds else None,
        "spread": statistics.stdev(seeds) if len(seeds) > 1 else None,
        "cell": model.get("cell"),
        "layers": layers,
        "units": None if units is None or layers is None else [units] * layers,
        "hyperparameters": record.values,
        "epochs": record.epochs,
        "parameters": None if parameters is None else int(parameters),
        "step_ms": facts.get("step_ms"),
        # Infinite for a model that can't run step by step; JSON has no infinity.
        "latency_ms": None if latency == math.inf else latency,
        "seconds": round(record.seconds or 0.0, 1),
        "began": record.began,
        "worker": record.worker,
        "message": record.message,
    }


def leaderboard(oracle: SearchOracle, shape: Shape) -> list[dict[str, Any]]:
    """The rows of all trials, the best first, those without a score last.

    Args:
        oracle: the oracle.
        shape: as for `row_of`.
    """
    sign = -1 if oracle.objective.direction == "max" else 1
    keys = [key for key, record in oracle.records.items() if record.of is None]
    best = finals.winner(oracle.records, oracle.finals, oracle.objective.direction)

    def order(row: Mapping[str, Any]) -> tuple[Any, ...]:
        scored = row["score"] is not None
        score = row["mean"] if row["mean"] is not None else row["score"]
        return (
            row["trial"] != (best and int(best) + 1),
            _ORDER.index(row["status"]),
            not scored,
            # Finalists are compared by their means, and come before the others.
            not row["seeds"],
            sign * score if scored else 0,
            row["trial"],
        )

    rows = [row_of(oracle, key, shape) for key in keys]
    rows.sort(key=order)
    return [{"rank": rank, **row} for rank, row in enumerate(rows, start=1)]
