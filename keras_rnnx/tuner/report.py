"""What a search found, as data and as files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import keras
from keras_tuner.engine.trial import Trial, TrialStatus

from keras_rnnx._table import Table
from keras_rnnx.tuner.files import write_json, write_model
from keras_rnnx.tuner.journal import Journaled, SearchError, failure
from keras_rnnx.tuner.training import PENALTY


class Ranked(NamedTuple):
    """One row of a leaderboard as a table shows it, 80 characters wide."""

    rank: int
    trial: int
    cell: str
    units: str
    score: str
    epochs: int
    parameters: str
    seconds: float


@dataclasses.dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search found.

    Attributes:
        leaderboard: a dict for each trial, the best first: `rank`, `trial` (its
            number, from 1), `status` ("completed", "diverged" or "failed"), `score`
            (None unless completed), `cell`, `layers`, `units`, `hyperparameters`,
            `epochs`, `parameters`, `seconds` and `message` (the error, if it failed).
        model: the best model, with the weights of its best epoch.
        hyperparameters: its hyperparameters by name.
        history: its logs, a list over the epochs for each name.
        test: its metrics on the test data, by name.
        objective: the logged name the leaderboard is by.
        directory: where the files are: `best_model.keras`, `best_hyperparameters.json`,
            `history.json` and `leaderboard.json`.
    """

    leaderboard: list[dict[str, Any]]
    model: keras.Model
    hyperparameters: dict[str, Any]
    history: dict[str, list[float]]
    test: dict[str, float]
    objective: str
    directory: Path

    def table(self) -> Table:
        """The leaderboard as a list of named tuples that shows as a table."""
        return Table(_ranked(row) for row in self.leaderboard)

    def describe(self) -> str:
        """The hyperparameters of the best model on one line, without cell and units."""
        best = self.leaderboard[0]
        units = (f"units_{layer}" for layer in range(best["layers"]))
        shown = ("cell", "layers", *units)
        return ", ".join(
            f"{name.removeprefix(best['cell'] + '/')} "
            + (f"{value:.3g}" if isinstance(value, float) else str(value))
            for name, value in self.hyperparameters.items()
            if name not in shown
        )

    def save(self) -> None:
        """Writes the files into `directory`, each in one step."""
        write_model(self.directory / "best_model.keras", self.model)
        write_json(self.directory / "best_hyperparameters.json", self.hyperparameters)
        write_json(self.directory / "history.json", self.history)
        board = {
            "objective": self.objective,
            "test": self.test,
            "trials": self.leaderboard,
        }
        write_json(self.directory / "leaderboard.json", board)


def _ranked(row):
    return Ranked(
        row["rank"],
        row["trial"],
        row["cell"],
        "+".join(map(str, row["units"])),
        row["status"] if row["score"] is None else f"{row['score']:.4f}",
        row["epochs"],
        "" if row["parameters"] is None else f"{row['parameters']:,}",
        row["seconds"],
    )


def row(tuner: Journaled, trial: Trial) -> dict[str, Any]:
    """The leaderboard's row of a finished trial, without its rank."""
    record = tuner.record(trial.trial_id)
    status = trial.status.lower()
    if trial.status == TrialStatus.COMPLETED and abs(trial.score) >= PENALTY:
        status = "diverged"
    values = trial.hyperparameters.values
    values = {k: v for k, v in values.items() if not k.startswith("tuner/")}
    return {
        "trial": int(trial.trial_id) + 1,
        "status": status,
        "score": float(trial.score) if status == "completed" else None,
        "cell": values["cell"],
        "layers": values["layers"],
        "units": [values[f"units_{layer}"] for layer in range(values["layers"])],
        "hyperparameters": values,
        "epochs": max(map(len, record["history"].values()), default=0),
        "parameters": record["parameters"],
        "seconds": record["seconds"],
        "message": failure(trial),
    }


def leaderboard(tuner: Journaled) -> list[dict[str, Any]]:
    """The rows of all finished trials, the best first, those without a score last."""
    rows = [row(tuner, trial) for trial in tuner.oracle.trials.values()]
    sign = -1 if tuner.oracle.objective.direction == "max" else 1

    def order(row):
        scored = row["score"] is not None
        return not scored, sign * row["score"] if scored else 0, row["trial"]

    rows.sort(key=order)
    return [{"rank": rank, **row} for rank, row in enumerate(rows, start=1)]


def result(tuner: Journaled, test: Any, directory: Path) -> SearchResult:
    """Restores and tests the best model of a finished search.

    Args:
        tuner: the tuner that ran it.
        test: batches of test data.
        directory: where the result is to be saved.

    Raises:
        SearchError: if no trial has a score.
    """
    rows = leaderboard(tuner)
    best = rows[0]
    if best["score"] is None:
        raise SearchError(
            f"None of {len(rows)} trials has a score: the first one {best['status']}"
            + (f" with: {best['message']}" if best["message"] else ".")
        )
    (trial,) = (
        trial
        for trial_id, trial in tuner.oracle.trials.items()
        if int(trial_id) + 1 == best["trial"]
    )
    model = tuner.load_model(trial)
    metrics = model.evaluate(test, verbose=0, return_dict=True)
    return SearchResult(
        leaderboard=rows,
        model=model,
        hyperparameters=best["hyperparameters"],
        history=tuner.record(trial.trial_id)["history"],
        test={name: float(value) for name, value in metrics.items()},
        objective=tuner.oracle.objective.name,
        directory=directory,
    )
