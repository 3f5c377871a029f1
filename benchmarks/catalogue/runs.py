"""The runs: a setting of a cell, trained for a given time and kept."""

from __future__ import annotations

import datetime
import functools
import gc
import json
import pathlib
import statistics
import time
from typing import Any

import keras
import numpy as np

import keras_rnnx
from benchmarks import device, kept
from benchmarks.catalogue import trials
from benchmarks.catalogue.tasks import TASKS, data
from benchmarks.catalogue.trials import Trial
from keras_rnnx.cells.registry import catalog, lookup
from keras_rnnx.layers import recipes

BATCH, CLIP = 64, 1.0
# The first calls compile, or find their memory.
WARM_UP = 3
# No run that is tested starts from this seed, so that none has the luck of a trial.
SEARCH_SEED = 2**20
# What a run is judged by: trials of the search by one part, what is reported by the
# other.
PARTS = {"search": "validation", "test": "test"}


def names(wanted: list[str] | None) -> list[str]:
    """The cells to run, by name.

    Args:
        wanted: names, or None for all of the package.

    Raises:
        ValueError: for a name that is in no catalogue.
    """
    for name in wanted or ():
        lookup(name)
    return sorted(
        info.name
        for info in catalog()
        if (
            info.name in wanted
            if wanted
            else info.cls.__module__.startswith("keras_rnnx.")
        )
    )


class Kept:
    """The runs that are kept in a file.

    Args:
        folder: where it is.

    Attributes:
        head: what holds for all of them: budgets, rates, tasks, device and versions.
        runs: a dict for each.
    """

    def __init__(self, folder: pathlib.Path):
        self.path = folder / f"catalogue-{keras.backend.backend()}.json"
        self.head, self.runs = {}, []
        if self.path.exists():
            found = json.loads(self.path.read_text())
            self.runs = found.pop("runs")
            self.head = found

    def needed(self) -> None:
        """Raises a ValueError where nothing is kept."""
        if not self.runs:
            raise ValueError(f"Nothing is kept in {self.path}: run without --show.")

    def settle(self, settings: dict[str, float]) -> None:
        """Says what holds for the runs to come.

        Args:
            settings: budgets and units.

        Raises:
            ValueError: if runs are kept that were made with others, or elsewhere.
        """
        now = {
            **settings,
            "batch": BATCH,
            "clip": CLIP,
            "warm_up": WARM_UP,
            "rates": list(trials.RATES),
            "dense_rates": list(trials.DENSE_RATES),
            "tasks": {name: setting.options for name, setting in TASKS.items()},
            **device.description(),
        }
        for key, value in now.items():
            if self.runs and self.head.get(key) != value:
                raise ValueError(
                    f"{self.path} holds runs with {key} {self.head.get(key)!r}, and "
                    f"this is {value!r}. They are not to be compared: pass another "
                    f"--out, or move that file away."
                )
        self.head = now

    def compare(self, cell: str, task: str, seeds: int) -> None:
        """Searches for the setting of a cell, then trains and tests it.

        What is kept already is not run again.

        Args:
            cell: its name.
            task: one of `TASKS`.
            seeds: how many runs are tested, with seeds from 0 on.
        """
        _forget()
        for trial in trials.of(cell, task):
            self.run("search", trial, SEARCH_SEED)
        best = trials.chosen(self.of("search", cell, task))
        for seed in range(seeds):
            self.run("test", best, seed)

    def of(self, stage: str, cell: str, task: str) -> list[dict[str, Any]]:
        """The runs of a stage, "search" or "test", of one cell on one task."""
        key = {"stage": stage, "cell": cell, "task": task}
        return [run for run in self.runs if run.items() >= key.items()]

    def run(self, stage: str, trial: Trial, seed: int) -> None:
        """Trains and keeps one run, unless it is kept already."""
        key = {"stage": stage, **vars(trial), "seed": seed}
        if any(run.items() >= key.items() for run in self.runs):
            return
        budget = self.head["search_budget" if stage == "search" else "budget"]
        found = train(trial, PARTS[stage], seed, self.head["units"], budget)
        date = datetime.date.today().isoformat()
        self.runs.append({**key, **found, "date": date})
        kept.write(self.path, self.head, "runs", self.runs)
        print(
            f"{trial.cell}, {trial.task}, {stage}: {trial.start} at {trial.rate:g}, "
            f"seed {seed}: {found['status']}, score {found['score']}, "
            f"{found['updates']} updates, {found['step_ms']} ms each",
            flush=True,
        )


def train(
    trial: Trial, part: str, seed: int, units: int, budget: float
) -> dict[str, Any]:
    """Trains a cell for a given time, and judges it by one part of the data.

    The clock stands still while the first calls compile, and while the score is taken.

    Args:
        trial: the cell, its setting and the task.
        part: of the data, "validation" or "test".
        seed: of weights and batches.
        units: of the layer.
        budget: seconds of training: CPU time, or time by the clock on a GPU.

    Returns:
        Parameters of the cell, engine, updates, median time of an update in
        milliseconds, status, loss and score on that part. Of a run that diverged the
        last two are None.
    """
    task = data(trial.task)
    model = _compiled(trial.cell, trial.task, trial.start, units)
    _restart(model, trial, units, seed)
    times, status = _updates(model, *task.train, seed, budget)
    score = loss = None
    if status == "trained":
        x, y = getattr(task, part)
        found = model.evaluate(x, y, len(x), verbose=0, return_dict=True)
        score, loss = found[TASKS[trial.task].score], found["loss"]
        if not np.isfinite(loss):
            status, score, loss = "diverged", None, None
    layer = model.layers[0]
    return {
        "parameters": int(sum(np.prod(v.shape) for v in layer.trainable_variables)),
        "engine": keras_rnnx.explain(layer)[0].engine,
        "updates": len(times),
        "step_ms": _figures(1e3 * statistics.median(times)),
        "status": status,
        "loss": _figures(loss),
        "score": _figures(score),
    }


# Both starts of a cell on a task.
@functools.lru_cache(maxsize=2)
def _compiled(cell, task, start, units):
    """A model for all runs of a start: most of a short run would be compilation."""
    model = _model(cell, task, start, units, seed=0)
    data(task).compile(model, keras.optimizers.Adam(global_clipnorm=CLIP))
    model.optimizer.build(model.trainable_variables)
    return model


def _forget():
    """Frees the models of the cell before, with what was compiled for them."""
    _compiled.cache_clear()
    keras.backend.clear_session()
    gc.collect()


def _model(cell, task, start, units, seed):
    arguments = {}
    if start != trials.DEFAULT:
        arguments = recipes.arguments(start, lookup(cell), {})
    layer = keras_rnnx.layers.RNN(
        keras_rnnx.cells.get(cell, units, seed=seed, **arguments)
    )
    classes = data(task).classes
    out = keras.layers.Dense(
        data(task).outputs, activation="softmax" if classes else None
    )
    return keras.Sequential([keras.Input(data(task).input_shape), layer, out])


def _restart(model, trial, units, seed):
    """Draws the weights of a compiled model anew, and forgets all that Adam knows."""
    keras.utils.set_random_seed(seed)
    new = _model(trial.cell, trial.task, trial.start, units, seed)
    model.set_weights(new.get_weights())
    for variable in model.optimizer.variables:
        variable.assign(np.zeros(variable.shape))
    model.optimizer.learning_rate = trial.rate


def _updates(model, x, y, seed, budget):
    """Trains until the time is over; the seconds of each update, and how it ended."""
    # Nobody else's work is counted, and none of a GPU's.
    clock = time.perf_counter if device.gpu() else time.process_time
    random = np.random.default_rng(seed)
    # Batches of one size: another would compile anew.
    steps = len(x) // BATCH
    times, total, rows, done = [], 0.0, None, 0
    while not times or total < budget:
        if done % steps == 0:
            rows = random.permutation(len(x))
        batch = rows[done % steps * BATCH :][:BATCH]
        model.reset_metrics()
        start = clock()
        # Gives numbers, so that the work is done when it returns.
        loss = model.train_on_batch(x[batch], y[batch], return_dict=True)["loss"]
        seconds = clock() - start
        done += 1
        if done > WARM_UP:
            times.append(seconds)
            total += seconds
        if not np.isfinite(loss):
            return times or [seconds], "diverged"
    return times, "trained"


def _figures(value):
    return None if value is None else float(f"{value:.4g}")
