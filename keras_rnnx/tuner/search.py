"""A whole search: from a task to a saved model."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_rnnx._errors import unknown
from keras_rnnx._numbers import integer
from keras_rnnx.datasets import Task, load_task
from keras_rnnx.tuner import report
from keras_rnnx.tuner.hypermodel import CELLS, HyperRNN
from keras_rnnx.tuner.journal import (
    JOURNAL,
    BayesianTuner,
    HyperbandTuner,
    Journaled,
    RandomTuner,
)
from keras_rnnx.tuner.oracles import BayesianOracle
from keras_rnnx.tuner.seeds import derive_seed

TUNERS = ("bayesian", "random", "hyperband")
TRIALS = 10


class Progress(NamedTuple):
    """What `search` reports after every epoch and every trial.

    Attributes:
        trial: number of the trial, from 1.
        trials: number of trials, or None if the tuner decides.
        epoch: number of the epoch that has ended, from 1.
        epochs: most epochs of this trial.
        logs: what the epoch logged.
        row: the trial's leaderboard row without its rank once it has ended, else None.
    """

    trial: int
    trials: int | None
    epoch: int
    epochs: int
    logs: dict[str, float]
    row: dict[str, Any] | None


def search(
    task: Task | str,
    cells: Iterable[str] = CELLS,
    *,
    trials: int | None = None,
    max_epochs: int = 40,
    directory: str | os.PathLike = "search",
    tuner: str = "bayesian",
    seed: int = 0,
    batch_size: int = 32,
    progress: Callable[[Progress], None] | None = None,
    **space: Any,
) -> report.SearchResult:
    """Searches for the recurrent model that does a task best, and saves it.

    Stopped at any moment and called again with the same arguments, it goes on and loses
    the running trial at most. Called again when it was finished, it reports; with more
    `trials`, it runs those that are missing.

    Args:
        task: a task, or the name of one.
        cells: names of the cells to choose from.
        trials: number of models to try. Default 10; "hyperband" by default runs all
            its brackets.
        max_epochs: most epochs of a trial. Default 40.
        directory: where the search and its result are saved. Default "search".
        tuner: "bayesian" (each cell at its defaults, two at random, then Bayesian
            optimization), "random" or "hyperband". Default "bayesian".
        seed: seed of the search, at least 0. Default 0.
        batch_size: sequences in a batch. Default 32.
        progress: called with a `Progress` after every epoch and trial.
        **space: `min_units`, `max_units`, `max_layers` and `max_noise` of `HyperRNN`.

    Returns:
        The leaderboard, the best model and its figures, as saved in `directory`.

    Raises:
        ValueError: for an unknown task, cell or tuner, with the nearest names, or a
            number out of range.
        OSError: if `directory` cannot be made.
        SearchError: if `directory` holds a search that differs in its arguments, if
            trials fail one after the other, or if none has a score.

    Example:

    >>> task = keras_rnnx.datasets.load_task("adding", length=4, train=64)
    >>> result = keras_rnnx.tuner.search(
    ...     task, ["gru"], trials=2, max_epochs=2, directory=tempfile.mkdtemp())
    >>> [row["cell"] for row in result.leaderboard], sorted(result.test)
    (['gru', 'gru'], ['loss', 'mean_absolute_error'])
    """
    if tuner not in TUNERS:
        raise unknown("tuner", tuner, TUNERS)
    _require(tuner)
    if isinstance(task, str):
        task = load_task(task)
    if trials is not None:
        integer("trials", trials, 1)
    elif tuner != "hyperband":
        trials = TRIALS
    integer("max_epochs", max_epochs, 1)
    integer("batch_size", batch_size, 1)
    integer("seed", seed, 0)
    hypermodel = HyperRNN.for_task(task, cells=cells, seed=seed, **space)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with _quiet():
        made = _make(tuner, hypermodel, trials, max_epochs, seed, directory)
        signature = {
            "task": _describe(task),
            "tuner": tuner,
            "max_epochs": max_epochs,
            "batch_size": batch_size,
            "seed": seed,
            "space": made.oracle.get_space().get_config()["space"],
        }
        made.resume(directory / JOURNAL, signature)
        if progress:
            made.notify = _notifier(made, trials, max_epochs, progress)
        made.search(**_data(task, batch_size), epochs=max_epochs, verbose=0)
        test = task.batches("test", batch_size)
        result = report.result(made, test, directory)
        result.save()
    return result


def _make(tuner, hypermodel, trials, max_epochs, seed, directory) -> Journaled:
    common = {"directory": str(directory), "project_name": "trials"}
    choice = {"objective": hypermodel.objective, "seed": derive_seed(seed)}
    if tuner == "bayesian":
        return BayesianTuner(
            BayesianOracle(max_trials=trials, **choice), hypermodel, **common
        )
    if tuner == "random":
        return RandomTuner(hypermodel, max_trials=trials, **choice, **common)
    made = HyperbandTuner(hypermodel, max_epochs=max_epochs, **choice, **common)
    made.oracle.max_trials = trials
    return made


def _notifier(tuner, trials, max_epochs, progress):
    def notify(trial, history, ended):
        values = trial.hyperparameters.values
        last = values.get("tuner/epochs", max_epochs)
        event = Progress(
            trial=int(trial.trial_id) + 1,
            trials=trials,
            epoch=max(map(len, history.values()), default=0),
            epochs=last - values.get("tuner/initial_epoch", 0),
            logs={name: values[-1] for name, values in history.items()},
            row=report.row(tuner, trial) if ended else None,
        )
        progress(event)

    return notify


def _data(task, batch_size):
    """Arguments of `fit`: arrays where sequences are equally long."""
    if isinstance(task.train.x, np.ndarray) and isinstance(task.train.y, np.ndarray):
        validation = tuple(task.validation)
        data = {"x": task.train.x, "y": task.train.y, "batch_size": batch_size}
        return {**data, "validation_data": validation}
    validation = task.batches("validation", batch_size)
    return {"x": task.batches("train", batch_size), "validation_data": validation}


def _describe(task):
    return {
        "name": task.name,
        "options": dict(task.options),
        "objective": list(task.objective),
        "data": [_checksum(values) for part in task.parts for values in part],
    }


def _checksum(values):
    if isinstance(values, np.ndarray):
        return zlib.crc32(np.ascontiguousarray(values))
    # The lengths first: the same steps in other sequences are other data.
    checksum = zlib.crc32(np.array([len(row) for row in values]))
    for row in values:
        checksum = zlib.crc32(np.ascontiguousarray(row), checksum)
    return checksum


def _require(tuner):
    # KerasTuner imports these when a trial runs: every trial would fail, one by one.
    modules = []
    if tuner == "bayesian":
        modules += ["sklearn", "scipy"]
    if keras.backend.backend() == "tensorflow":
        modules.append("tensorboard")
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ImportError(
                f"This search needs {module}: pip install 'keras-rnnx[tuner]'."
            )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the messages that KerasTuner causes and a user can do nothing about."""
    ignored = [
        (r"(currentThread|getName)\(\) is deprecated", DeprecationWarning),
        # A checkpoint holds weights, and its optimizer is not needed any more.
        ("Skipping variable loading for optimizer", UserWarning),
        # Of the Gaussian process, about its own hyperparameters.
        ("The optimal value found for dimension", UserWarning),
        # Of a metric of which it is not known whether more is better.
        ("All-NaN axis encountered", RuntimeWarning),
    ]
    logger = logging.getLogger("tensorflow")
    # Each trial has a model of its own, so each is traced.
    logger.addFilter(_not_retracing)
    try:
        with warnings.catch_warnings():
            for message, category in ignored:
                warnings.filterwarnings("ignore", message, category)
            yield
    finally:
        logger.removeFilter(_not_retracing)


def _not_retracing(record):
    return "triggered tf.function retracing" not in record.getMessage()
