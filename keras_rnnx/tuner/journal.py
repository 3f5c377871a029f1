"""What a search has done so far, in one file that is always whole.

KerasTuner spreads its state over several files and writes each in place, so that a
process killed while it writes leaves one that cannot be read. Here the state of the
oracle and all finished trials go into `search.json`, written in one step when a trial
ends. KerasTuner's own state files are not read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from keras_rnnx.tuner.files import write_json

JOURNAL = "search.json"


class SearchError(RuntimeError):
    """A search that cannot go on; the message says why and what to do."""


class Journaled:
    """Mixin for a `keras_tuner.Tuner`: keeps the journal, and a record of each trial.

    The record, `record.json` in the trial's directory, holds what KerasTuner does not
    keep: the history of all epochs, the number of parameters and the time taken.

    Attributes:
        notify: called with the trial, its history and whether it has ended, after
            every epoch and every trial.
    """

    notify: Callable[[Trial, dict[str, list[float]], bool], None] | None = None

    def resume(self, journal: Path, signature: dict[str, Any]) -> None:
        """Goes on from a journal, or begins one. To be called before `search`.

        Args:
            journal: path of the file.
            signature: what must be the same for trials to belong to one search.

        Raises:
            SearchError: if the journal is of another search, or is not a journal.
        """
        self.journal = journal
        # As it will be read back: JSON has no tuples.
        self.signature = json.loads(json.dumps(signature))
        if not journal.exists():
            self.save()
            return
        try:
            held = json.loads(journal.read_text(encoding="utf-8"))
            begun, oracle, trials = (held[k] for k in ("signature", "oracle", "trials"))
        except (ValueError, KeyError, TypeError) as error:
            raise SearchError(
                f"{journal} is not the journal of a search ({error}). "
                f"Use another directory."
            ) from error
        differences = [
            f"{key} ({_shorten(begun.get(key))} there, {_shorten(value)} now)"
            for key, value in self.signature.items()
            if begun.get(key) != value
        ]
        if differences:
            raise SearchError(
                f"{journal} is of a search that differs in {', '.join(differences)}. "
                f"Use another directory, or the same arguments to go on with it."
            )
        self.oracle.trials = {t["trial_id"]: Trial.from_state(t) for t in trials}
        self.oracle.set_state(oracle)

    def save(self) -> None:
        """Writes the journal. KerasTuner calls it when a trial has ended."""
        trials = [trial.get_state() for trial in self.oracle.trials.values()]
        state = {"signature": self.signature, "oracle": self.oracle.get_state()}
        write_json(self.journal, {**state, "trials": trials})

    def record(self, trial_id: str) -> dict[str, Any]:
        """What is kept of a finished trial: `history`, `parameters`, `seconds`."""
        path = Path(self.get_trial_dir(trial_id)) / "record.json"
        return json.loads(path.read_text(encoding="utf-8"))

    def on_trial_begin(self, trial: Trial) -> None:
        """Starts the record of a trial."""
        super().on_trial_begin(trial)
        self._started = time.monotonic()
        self._record = {"history": {}, "parameters": None}

    def on_epoch_end(
        self,
        trial: Trial,
        model: keras.Model,
        epoch: int,
        logs: dict[str, float] | None = None,
    ) -> None:
        """Adds an epoch to the record."""
        super().on_epoch_end(trial, model, epoch, logs)
        self._record["parameters"] = model.count_params()
        for name, value in logs.items():
            self._record["history"].setdefault(name, []).append(float(value))
        if self.notify:
            self.notify(trial, self._record["history"], False)

    def on_trial_end(self, trial: Trial) -> None:
        """Keeps the record and the trial.

        Raises:
            SearchError: if too many trials failed in a row, with the error of the last.
        """
        self._record["seconds"] = round(time.monotonic() - self._started, 1)
        directory = Path(self.get_trial_dir(trial.trial_id))
        write_json(directory / "record.json", self._record)
        try:
            super().on_trial_end(trial)
        except RuntimeError as error:
            if trial.status != TrialStatus.FAILED:
                raise
            raise SearchError(
                f"{self.oracle.max_consecutive_failed_trials} trials in a row failed, "
                f"the last with: {failure(trial)}"
            ) from error
        if self.notify:
            self.notify(trial, self._record["history"], True)


def failure(trial: Trial) -> str | None:
    """The error that a trial failed with, on one line, or None."""
    return trial.message.strip().splitlines()[-1] if trial.message else None


def _shorten(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class RandomTuner(Journaled, keras_tuner.RandomSearch):
    """Random search that can be resumed."""


class HyperbandTuner(Journaled, keras_tuner.Hyperband):
    """Hyperband that can be resumed."""


class BayesianTuner(Journaled, keras_tuner.Tuner):
    """Bayesian optimization that can be resumed, for a `BayesianOracle`."""
