"""One session of a search: runs trials and returns the result."""

from __future__ import annotations

import functools
import importlib
import platform
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import keras
import keras_tuner
import numpy as np

from keras_rnnx._version import __version__
from keras_rnnx.inspection.explain import explain
from keras_rnnx.tuner import result
from keras_rnnx.tuner._processes.chief import role, run_chief
from keras_rnnx.tuner._processes.launcher import Launcher
from keras_rnnx.tuner._processes.work import Work
from keras_rnnx.tuner._state import finals
from keras_rnnx.tuner._state.oracle import ATTEMPT, SearchOracle
from keras_rnnx.tuner._state.records import COMPLETED, Record
from keras_rnnx.tuner._trials.checks import check_before
from keras_rnnx.tuner._trials.code import code as code_of
from keras_rnnx.tuner._trials.tuner import SearchTuner
from keras_rnnx.tuner.errors import SearchError, paused_by
from keras_rnnx.tuner.hypermodel import RUN, HyperRNN


class Progress(NamedTuple):
    """A report of `search` after every epoch and every trial.

    Attributes:
        trial: number of the trial, from 1.
        trials: number of trials of the search, or None: as many as the time allows.
        epoch: number of the epoch that has ended, from 1.
        epochs: largest number of epochs of this trial.
        logs: the logs of the epoch.
        row: the trial's leaderboard row without its rank once it has ended, else None.
        worker: name of the worker that runs it.
        again: the number of the trial that it trains again with another seed, or None.
        seconds: how long the search has run.
    """

    trial: int
    trials: int | None
    epoch: int
    epochs: int
    logs: dict[str, float]
    row: dict[str, Any] | None
    worker: str
    again: int | None
    seconds: float


def run(
    oracle: SearchOracle,
    work: Work,
    workers: int | None,
    progress: Callable[[Progress], None] | None,
    about: dict[str, Any],
) -> result.SearchResult:
    """Runs the remaining trials of a search, and saves the result.

    Args:
        oracle: the oracle.
        work: the data and functions that its trials need.
        workers: number of processes that run trials; None: this one.
        progress: called after every epoch and trial.
        about: facts about the whole search, for the report.
    """
    tuner = work.tuner(oracle)
    oracle.reload()
    if role() is None:
        oracle.abandon_workers()
    if not oracle.end_order:
        check_before(tuner, work)
    watch = _watching(oracle, work, progress)
    tuner.watch = watch
    try:
        oracle.save()
    except OSError as error:
        raise paused_by(error) from error
    if role() == "chief":
        oracle.patient = False
        run_chief(oracle, work.directory, watch)
    elif workers is None:
        tuner.search()
    else:
        Launcher(oracle, work, workers).run(watch)
    watch()
    if isinstance(oracle.problem, Exception):
        raise oracle.problem
    if oracle.problem is not None:
        raise SearchError(oracle.problem)
    oracle.save()
    outcome = _result(oracle, tuner, work)
    outcome.save(*_about(oracle, work, outcome, about))
    return outcome


def _watching(
    oracle: SearchOracle, work: Work, progress: Callable[[Progress], None] | None
) -> Callable[[], None]:
    """A function that reports new events to `progress`."""

    shape = functools.partial(_shape, work)

    def watch() -> None:
        while oracle.events:
            key, ended = oracle.events.popleft()
            if progress is None:
                continue
            record = oracle.records[key]
            event = Progress(
                trial=int(key) + 1,
                trials=oracle.max_trials,
                epoch=record.epochs,
                epochs=oracle.epochs,
                logs={name: values[-1] for name, values in record.history.items()},
                row=result.row_of(oracle, key, shape) if ended else None,
                worker=record.worker,
                again=None if record.of is None else int(record.of) + 1,
                seconds=oracle.elapsed,
            )
            progress(event)

    return watch


def _shape(work: Work, record: Record) -> dict[str, Any]:
    """The cell, the layers and the units of a trial's model."""
    if not isinstance(work.hypermodel, HyperRNN):
        return {}
    hp = keras_tuner.HyperParameters()
    hp.values = dict(record.values)
    return work.hypermodel.settings(hp)


def _result(
    oracle: SearchOracle, tuner: SearchTuner, work: Work
) -> result.SearchResult:
    """Restores and tests the best model of a finished search."""
    rows = result.leaderboard(oracle, functools.partial(_shape, work))
    direction = oracle.objective.direction
    best = finals.winner(oracle.records, oracle.finals, direction)
    if best is None:
        _raise_for_none(rows)
    keys = [best, *(k for k, record in oracle.records.items() if record.of == best)]
    keys = [key for key in keys if oracle.records[key].status == COMPLETED]
    sign = 1 if direction == "min" else -1
    # The result has the weights of the best training.
    top = min(keys, key=lambda key: sign * (oracle.records[key].score or 0.0))
    model, tests = None, []
    for key in sorted(keys, key=lambda key: key == top):
        trial = _as_given(oracle, key)
        model = tuner.load(trial, oracle.records[key].attempt)
        settings = work.data.settings(work.hypermodel, trial.hyperparameters)
        test = work.data.test(settings)
        if test is not None:
            logs = model.evaluate(test, verbose=0, return_dict=True)
            tests.append({name: float(value) for name, value in logs.items()})
    code = None
    if isinstance(work.hypermodel, HyperRNN):
        hp = _as_given(oracle, top).hyperparameters
        epochs = work.epochs
        until = oracle.records[top].best_epoch or epochs
        if work.data.folds == 1:
            code = code_of(work.hypermodel, work.data, hp, epochs, until)
    return result.SearchResult(
        leaderboard=rows,
        model=model,
        hyperparameters=oracle.records[best].values,
        history=oracle.records[top].history,
        test=tests[-1] if tests else None,
        tests=tests,
        objective=oracle.objective.name,
        direction=direction,
        code=code,
        directory=work.directory,
    )


def _as_given(oracle: SearchOracle, key: str) -> Any:
    """A trial with the hyperparameter values that its worker had."""
    record = oracle.records[key]
    hp = keras_tuner.HyperParameters()
    hp.values = {**record.values, ATTEMPT: record.attempt, RUN: record.run}
    return keras_tuner.engine.trial.Trial(hp, key, "COMPLETED")


def _raise_for_none(rows: list[dict[str, Any]]) -> NoReturn:
    if not rows:
        raise SearchError("No trial has begun: the time budget is too small.")
    first = rows[0]
    why = first["message"] or first["reason"]
    raise SearchError(
        f"None of {len(rows)} trials can win: the first one {first['status']}"
        + (f" with: {why}" if why else ".")
    )


def _about(
    oracle: SearchOracle,
    work: Work,
    outcome: result.SearchResult,
    about: dict[str, Any],
) -> tuple[dict[str, Any], dict[int, dict[str, list[float]]]]:
    """Facts about the whole search for the report, and the history of each trial."""
    more = {
        **about,
        "seconds": round(oracle.elapsed, 1),
        "refused": oracle.refused,
        "backend": keras.backend.backend(),
        "versions": _versions(),
        "explain": str(explain(outcome.model)),
    }
    histories = {int(key) + 1: record.history for key, record in oracle.records.items()}
    return more, histories


def _versions() -> dict[str, str]:
    """The versions that a result depends on."""
    backend = keras.backend.backend()
    return {
        "keras_rnnx": __version__,
        "keras": keras.__version__,
        backend: importlib.import_module(backend).__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
