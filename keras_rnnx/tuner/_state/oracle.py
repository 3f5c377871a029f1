"""The whole state of a search: its trials, and how each of them ended."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from keras_rnnx.tuner._state.finals import Finals
from keras_rnnx.tuner._state.journal import Journal
from keras_rnnx.tuner._state.judging import judge, losses, over_limit
from keras_rnnx.tuner._state.records import (
    COMPLETED,
    DIVERGED,
    FAILED,
    RUNNING,
    STOPPED,
    Record,
)
from keras_rnnx.tuner._state.samplers import Sampler, Tried
from keras_rnnx.tuner._state.stopping import Rule
from keras_rnnx.tuner._trials.training import finite
from keras_rnnx.tuner.errors import paused_by
from keras_rnnx.tuner.hypermodel import NOTE, RUN

# The number of the attempt, in the values of a trial and in each of its reports.
ATTEMPT = f"{NOTE}attempt"
# The kind of a report before the end of a trial.
EPOCH, FACTS = f"{NOTE}epoch", f"{NOTE}facts"
REFUSALS = 200
FAILURES = 3
# A remote worker is considered dead if it has not reported for this long, and for ten
# times the longest time between reports so far. Its trial goes to another worker.
SILENCE = 300.0


class SearchOracle(keras_tuner.Oracle):
    """An oracle that holds the whole state of a search, and its files.

    Workers hold no state: they ask for a trial, report each epoch, and are told whether
    to continue. Chief and workers use KerasTuner's own protocol for that.

    A sampler and a rule are functions of the trials so far, without a state of their
    own. So a search that continues gives the same trials as one that was never stopped.

    Args:
        objective: a `keras_tuner.Objective`.
        sampler: chooses the values of the next trial.
        rule: decides which trials to stop.
        max_trials: number of trials.
        epochs: largest number of epochs of a trial.
        seed: of the search.
        journal: its files.
        budget: seconds, or None.
        finals: how to train the best trials again.
        refuse: a function that returns why a setting is not worth a trial, or None.
        limits: by name, the largest values of what is measured before a model is
            trained.
        means: whether the reports of a trial are means over all folds so far: then the
            last one counts instead of the best.
    """

    def __init__(
        self,
        objective: keras_tuner.Objective,
        sampler: Sampler,
        rule: Rule,
        max_trials: int | None,
        epochs: int,
        seed: int,
        journal: Journal,
        budget: float | None = None,
        finals: Finals | None = None,
        refuse: Callable[[dict[str, Any]], str | None] | None = None,
        limits: dict[str, float] | None = None,
        means: bool = False,
    ):
        super().__init__(objective=objective, max_trials=max_trials, seed=seed)
        self.sampler = sampler
        self.rule = rule
        self.epochs = epochs
        self.journal = journal
        self.budget = budget
        self.finals = finals or Finals(0, 0)
        self.refuse = refuse or (lambda values: None)
        self.limits = limits or {}
        self.means = means
        self.records: dict[str, Record] = {}
        # Trials that wait for a worker, because theirs is gone.
        self.waiting: list[str] = []
        self.draws = 0
        self.refused: dict[str, int] = {}
        # Why no more trials begin, or None.
        self.problem: Exception | str | None = None
        self.exhausted = False
        # Whether a worker was told that there is nothing more to do.
        self.over = False
        # Trials that have reported or ended, for progress reports: `(id, ended)`.
        self.events: collections.deque[tuple[str, bool]] = collections.deque()
        # If False, silent workers are considered dead.
        self.patient = True
        self._before = 0.0
        self._since = time.monotonic()
        # When trials last reported, and when workers last asked for one.
        self._heard: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._longest_silence = 0.0

    # --- time ---

    @property
    def elapsed(self) -> float:
        """Seconds that the search has run, in all its sessions."""
        return self._before + time.monotonic() - self._since

    def out_of_time(self, share: float = 1.0) -> bool:
        """Whether a share of the time budget is used up."""
        return self.budget is not None and self.elapsed >= share * self.budget

    # --- what workers call ---

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str) -> Trial:
        """Gives a worker a trial: its own again, a waiting one, or a new one."""
        try:
            return self._given(tuner_id)
        except Exception as error:  # noqa: BLE001 - KerasTuner's lock must be released
            self.problem = paused_by(error) if isinstance(error, OSError) else error
            return self._none(tuner_id, TrialStatus.STOPPED)

    def _given(self, tuner_id: str) -> Trial:
        self.tuner_ids.add(tuner_id)
        self._asked[tuner_id] = time.monotonic()
        if tuner_id in self.ongoing_trials:
            # The worker was restarted.
            trial_id = self.ongoing_trials[tuner_id].trial_id
            self.records[trial_id].forget()
        elif self.problem is not None or self.out_of_time():
            return self._none(tuner_id, TrialStatus.STOPPED)
        else:
            trial_id = self._waiting() or self._new()
        if trial_id in (TrialStatus.IDLE, TrialStatus.STOPPED):
            return self._none(tuner_id, trial_id)
        record = self.records[trial_id]
        record.worker = tuner_id
        record.began = round(self.elapsed, 3)
        self.ongoing_trials[tuner_id] = self.trials[trial_id]
        self._heard[trial_id] = time.monotonic()
        self.save()
        return self._for_worker(trial_id)

    @keras_tuner.synchronized
    def finished(self) -> bool:
        """Whether no trial is running, and no other will begin."""
        if self.ongoing_trials:
            return False
        return self.over or self.problem is not None or self.out_of_time()

    @keras_tuner.synchronized
    def left_alone(self) -> bool:
        """Whether all workers have left, or have been silent for long."""
        longest = max(SILENCE, 10 * self._longest_silence)
        now = time.monotonic()
        running = set(self.ongoing_trials) - set(self._silent())
        idle = self.tuner_ids - set(self.ongoing_trials)
        asking = {
            worker for worker in idle if now - self._asked.get(worker, now) < longest
        }
        return bool(self._asked) and not running and not asking

    def _waiting(self) -> str | None:
        """A trial that lost its worker, as a new attempt; or None."""
        silent = [] if self.patient else self._silent()
        for tuner_id in silent:
            self.waiting.append(self.ongoing_trials.pop(tuner_id).trial_id)
            self.tuner_ids.discard(tuner_id)
        if not self.waiting:
            return None
        trial_id = self.waiting.pop(0)
        self.records[trial_id].forget()
        return trial_id

    def _silent(self) -> list[str]:
        now = time.monotonic()
        longest = max(SILENCE, 10 * self._longest_silence)
        return [
            tuner_id
            for tuner_id, trial in self.ongoing_trials.items()
            if now - self._heard.get(trial.trial_id, now) > longest
        ]

    def _new(self) -> Any:
        """The id of a new trial, or a status that tells to wait or to leave."""
        searched = [record for record in self.records.values() if record.of is None]
        full = self.max_trials is not None and len(searched) >= self.max_trials
        share = self.finals.share_of_search
        if not (full or self.exhausted or self.out_of_time(share)):
            values = self._drawn()
            if values is not None:
                return self._begin(Record(values))
            if self.problem is not None:
                return TrialStatus.STOPPED
        if not self.finals.wanted:
            return TrialStatus.STOPPED
        ended = set(self.end_order)
        if any(
            record.of is None and k not in ended for k, record in self.records.items()
        ):
            # The best trials are known once all have ended: a stopping trial may run
            # again.
            return TrialStatus.IDLE
        again = self.finals.next(self.records, self.objective.direction)
        return TrialStatus.STOPPED if again is None else self._begin(again)

    def _drawn(self) -> dict[str, Any] | None:
        """New values that are not refused, or None if there are none."""
        earlier = [
            record.values for record in self.records.values() if record.of is None
        ]
        space = self.get_space()
        tried = [
            self._tried(record) for record in self.records.values() if record.of is None
        ]
        for _ in range(REFUSALS):
            values = self.sampler(space, tried, self.draws, self.seed, self.objective)
            self.draws += 1
            if values is None:
                break
            if values in earlier:
                continue
            reason = self.refuse(values)
            if reason is None:
                return values
            self.refused[reason] = self.refused.get(reason, 0) + 1
            last = reason
        else:
            # Earlier trials count in any case.
            if self.refused and not self.records:
                self.problem = (
                    f"No setting of the space is within the limits: none of "
                    f"{REFUSALS} drawn ones is. The last one was refused: {last}."
                )
                return None
        self.exhausted = True
        return None

    def _begin(self, record: Record) -> str:
        trial_id = f"{len(self.trials):04d}"
        hp = self.get_space()
        hp.values = dict(record.values)
        self.trials[trial_id] = Trial(hp, trial_id, TrialStatus.RUNNING)
        self.records[trial_id] = record
        self.start_order.append(trial_id)
        return trial_id

    def _for_worker(self, trial_id: str) -> Trial:
        """A copy of a trial whose values include its attempt and its run."""
        record = self.records[trial_id]
        # Without the space: a model registers the hyperparameters that it draws.
        hp = keras_tuner.HyperParameters()
        hp.values = {**record.values, ATTEMPT: record.attempt, RUN: record.run}
        return Trial(hp, trial_id, TrialStatus.RUNNING)

    def _none(self, tuner_id: str, status: Any) -> Trial:
        if status == TrialStatus.STOPPED:
            self.tuner_ids.discard(tuner_id)
            self.over = True
        return Trial(keras_tuner.HyperParameters(), "none", status)

    @keras_tuner.synchronized
    def update_trial(
        self, trial_id: str, metrics: dict[str, float], step: int = 0
    ) -> Trial:
        """Takes a report: of an epoch, of measured values, or of the result.

        Returns:
            The trial. Its status is "STOPPED" if the worker must end it.
        """
        try:
            go_on = self._report(trial_id, dict(metrics), int(step))
        except Exception as error:  # noqa: BLE001 - KerasTuner's lock must be released
            self.problem = paused_by(error) if isinstance(error, OSError) else error
            go_on = False
        status = TrialStatus.RUNNING if go_on else TrialStatus.STOPPED
        return Trial(keras_tuner.HyperParameters(), trial_id, status)

    def get_trial(self, trial_id: str) -> Trial:
        """A copy of a trial, without the space, which KerasTuner would print when it
        sends the trial to a worker."""
        kept = self.trials[trial_id]
        trial = Trial(keras_tuner.HyperParameters(), trial_id, kept.status)
        trial.score, trial.best_step = kept.score, kept.best_step
        return trial

    def _report(self, trial_id: str, metrics: dict[str, float], step: int) -> bool:
        record = self.records[trial_id]
        if int(metrics.pop(ATTEMPT, 0)) != record.attempt or record.status != RUNNING:
            # From a worker that was considered dead.
            return False
        self._hear(trial_id)
        if metrics.pop(FACTS, None) is not None:
            record.facts |= metrics
            record.reason = over_limit(record, self.limits)
            return record.reason is None
        if metrics.pop(EPOCH, None) is None:
            # The result counts if no epoch reported the objective. A model that
            # exceeded a limit was not trained.
            if self.objective.name not in record.history and record.reason is None:
                record.history = {name: [value] for name, value in metrics.items()}
            return True
        line = {"trial": trial_id, "attempt": record.attempt, "epoch": step}
        line["elapsed"] = round(self.elapsed, 3)
        self.journal.append({**line, "logs": metrics})
        record.add(step, metrics)
        self.events.append((trial_id, False))
        return self._go_on(record)

    def _go_on(self, record: Record) -> bool:
        """Whether a trial continues after an epoch."""
        if self.problem is not None:
            return False
        if self.out_of_time():
            record.reason = f"the time was up after epoch {record.epochs}"
            return False
        last = {name: values[-1] for name, values in record.history.items()}
        if not finite(last):
            return False
        if record.of is not None:
            return True
        mine = losses(record, self.objective)
        others = [
            losses(other, self.objective)
            for other in self.records.values()
            if other is not record and other.of is None and other.history
        ]
        reason = self.rule(mine, others) if mine else None
        if reason:
            record.status, record.reason = STOPPED, reason
        return reason is None

    def _hear(self, trial_id: str) -> None:
        now = time.monotonic()
        silence = now - self._heard.get(trial_id, now)
        self._longest_silence = max(self._longest_silence, silence)
        self._heard[trial_id] = now

    @keras_tuner.synchronized
    def end_trial(self, trial: Trial) -> None:
        """Records the end of a trial, unless it belongs to an earlier attempt."""
        try:
            self._end(trial)
        except Exception as error:  # noqa: BLE001 - KerasTuner's lock must be released
            self.problem = paused_by(error) if isinstance(error, OSError) else error

    def _end(self, trial: Trial) -> None:
        record = self.records[trial.trial_id]
        mine = self.ongoing_trials.get(record.worker)
        attempt = trial.hyperparameters.values.get(ATTEMPT)
        running = mine is not None and mine.trial_id == trial.trial_id
        if not running or attempt != record.attempt:
            return
        if self.problem is not None and trial.status == TrialStatus.COMPLETED:
            # It was cut off, and runs again when the search continues.
            self.ongoing_trials.pop(record.worker)
            self.waiting.append(trial.trial_id)
            return
        record.seconds = round(self.elapsed - record.began, 3)
        if trial.status == TrialStatus.COMPLETED:
            judge(record, self.objective, self.epochs, self.means)
        else:
            record.status = FAILED
            record.message = trial.message or self._failure(trial.trial_id, record)
        kept = self.trials[trial.trial_id]
        kept.score, kept.best_step = record.score, (record.best_epoch or 1) - 1
        failed = record.status == FAILED
        kept.status = TrialStatus.FAILED if failed else TrialStatus.COMPLETED
        kept.message = record.message
        self.update_space(trial.hyperparameters)
        self.end_order.append(trial.trial_id)
        self._check_failures()
        self._remove_weights(trial.trial_id, record)
        self.ongoing_trials.pop(record.worker)
        self.save()
        self.events.append((trial.trial_id, True))

    def _failure(self, trial_id: str, record: Record) -> str:
        path = failure_path(self.trial_directory(trial_id), record.attempt)
        return path.read_text(encoding="utf-8") if path.exists() else "unknown error"

    def _check_failures(self) -> None:
        last = [self.records[key] for key in self.end_order[-FAILURES:]]
        if len(last) == FAILURES and all(record.status == FAILED for record in last):
            self.problem = (
                f"{FAILURES} trials in a row failed, the last with: {last[-1].message}"
            )

    # --- files ---

    def trial_directory(self, trial_id: str) -> Path:
        """The directory of a trial's weights."""
        return self.journal.directory / "trials" / f"trial_{trial_id}"

    def _remove_weights(self, trial_id: str, record: Record) -> None:
        """Removes the weights of trials that can't win, and of earlier attempts."""
        directory = self.trial_directory(trial_id)
        kept = weights_path(directory, record.attempt)
        for path in directory.glob("*.weights.h5"):
            if record.status != COMPLETED or path != kept:
                path.unlink(missing_ok=True)

    def get_state(self) -> dict[str, Any]:
        """The content of a snapshot."""
        return {
            "objective": [self.objective.name, self.objective.direction],
            "elapsed": round(self.elapsed, 3),
            "draws": self.draws,
            "refused": self.refused,
            "ended": self.end_order,
            "waiting": self.waiting,
            "trials": {key: one.state() for key, one in self.records.items()},
            "workers": {k: one.trial_id for k, one in self.ongoing_trials.items()},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues from a snapshot and the log of reports."""
        self._before = state["elapsed"]
        self._since = time.monotonic()
        self.draws, self.refused = state["draws"], state["refused"]
        self.end_order, self.start_order = state["ended"], list(state["trials"])
        self.records = {key: Record(**one) for key, one in state["trials"].items()}
        for report in self.journal.reports():
            # The time counts even if the trial has not ended.
            self._before = max(self._before, report["elapsed"])
            record = self.records.get(report["trial"])
            # An attempt whose start was not written runs again.
            if record is not None and record.attempt == report["attempt"]:
                record.add(report["epoch"], report["logs"])
        for key, record in self.records.items():
            hp = self.get_space()
            hp.values = dict(record.values)
            trial = Trial(hp, key, _STATUS[record.status], record.message)
            trial.score, trial.best_step = record.score, (record.best_epoch or 1) - 1
            self.trials[key] = trial
        self.waiting = list(state["waiting"])
        self.ongoing_trials = {
            worker: self.trials[key] for worker, key in state["workers"].items()
        }
        now = time.monotonic()
        self._heard = {one.trial_id: now for one in self.ongoing_trials.values()}

    def abandon_workers(self) -> None:
        """Takes back the trials of all workers, none of which is alive any more."""
        running = [trial.trial_id for trial in self.ongoing_trials.values()]
        self.waiting = sorted({*running, *self.waiting})
        self.ongoing_trials = {}

    def save(self) -> None:
        """Writes a snapshot."""
        self.journal.write(self.get_state())

    def reload(self) -> None:
        """Continues from the snapshot that was read, if there was one."""
        if self.journal.state is not None:
            self.set_state(self.journal.state)

    # --- for samplers ---

    def _tried(self, record: Record) -> Tried:
        score = record.score
        if record.status == RUNNING:
            so_far = losses(record, self.objective)
            score = None
            if so_far:
                sign = 1 if self.objective.direction == "min" else -1
                score = sign * min(so_far)
        return Tried(record.values, record.status, score, record.epochs)


_STATUS = {
    RUNNING: TrialStatus.RUNNING,
    COMPLETED: TrialStatus.COMPLETED,
    STOPPED: TrialStatus.COMPLETED,
    DIVERGED: TrialStatus.COMPLETED,
    FAILED: TrialStatus.FAILED,
}


def weights_path(directory: Path, attempt: int) -> Path:
    """The file of a trial's weights; each attempt has its own."""
    return directory / f"best-{attempt}.weights.h5"


def failure_path(directory: Path, attempt: int) -> Path:
    """The file in which a worker writes the error of a trial: KerasTuner's protocol
    has no field for it."""
    return directory / f"failure-{attempt}.txt"
