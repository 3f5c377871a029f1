"""The runs: one cell, one task, one seed, trained for a given time and kept."""

from __future__ import annotations

import datetime
import json
import pathlib
import statistics
import time
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

import keras_rnnx
from benchmarks import device, kept
from keras_rnnx.cells.registry import catalog, lookup
from keras_rnnx.initializers import Chrono


@dataclass(frozen=True)
class Setting:
    """How a task is learned.

    Attributes:
        task: what `load_task` loads.
        options: of the task.
        rate: of Adam.
        chrono: whether gates that keep the state start with memories up to the length
            of the sequences, without which hardly any cell learns a thing in the time.
    """

    task: str
    options: dict[str, int]
    rate: float
    chrono: bool = False


TASKS = {
    "adding": Setting("adding", {"length": 100, "train": 10_000}, 3e-3, chrono=True),
    "long adding": Setting(
        "adding", {"length": 1000, "train": 10_000}, 3e-3, chrono=True
    ),
    "digits": Setting("digits", {}, 1e-3),
}
BATCH, CLIP = 64, 1.0
# The first calls compile, or find their memory.
WARM_UP = 3


def names(wanted: list[str] | None) -> list[str]:
    """The cells to run, by year and name.

    Args:
        wanted: names, or None for all of the package.

    Raises:
        ValueError: for a name that is in no catalogue.
    """
    for name in wanted or ():
        lookup(name)
    return [
        info.name
        for info in catalog()
        if (
            info.name in wanted
            if wanted
            else info.cls.__module__.startswith("keras_rnnx.")
        )
    ]


def tasks(wanted: list[str] | None) -> list[str]:
    """The tasks to run.

    Args:
        wanted: names, or None for all.

    Raises:
        ValueError: for a name that is none.
    """
    for name in wanted or ():
        if name not in TASKS:
            raise ValueError(f"{name!r} is not a task. There are: {', '.join(TASKS)}.")
    return wanted or list(TASKS)


class Kept:
    """The runs that are kept in a file.

    Args:
        folder: where it is.

    Attributes:
        head: what holds for all of them: budget, units, device and versions.
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
            raise ValueError(f"Nothing is kept in {self.path}: pass --budget SECONDS.")

    def settle(self, settings: dict[str, float]) -> None:
        """Says what holds for the runs to come.

        Args:
            settings: budget and units.

        Raises:
            ValueError: if runs are kept that were made with others, or elsewhere.
        """
        now = {**settings, **device.description()}
        for key, value in now.items():
            if self.runs and self.head.get(key) != value:
                raise ValueError(
                    f"{self.path} holds runs with {key} {self.head.get(key)!r}, and "
                    f"this is {value!r}. They are not to be compared: pass another "
                    f"--out, or move that file away."
                )
        self.head = now

    def run(self, cell: str, task: str, seed: int) -> None:
        """Trains and keeps one run, unless it is kept already."""
        key = {"cell": cell, "task": task, "seed": seed}
        if any(run.items() >= key.items() for run in self.runs):
            return
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        found = train(cell, task, seed, self.head["units"], self.head["budget"])
        date = datetime.date.today().isoformat()
        self.runs.append({**key, **found, "date": date})
        kept.write(self.path, self.head, "runs", self.runs)
        print(
            f"{cell}, {task}, seed {seed}: {found['status']}, score {found['score']}, "
            f"{found['updates']} updates, {found['step_ms']} ms each",
            flush=True,
        )


def train(cell: str, task: str, seed: int, units: int, budget: float) -> dict[str, Any]:
    """Trains a cell for a given time.

    The clock stands still while the first calls compile, and while the score is taken.

    Args:
        cell: its name.
        task: one of `TASKS`.
        seed: of data, weights and batches.
        units: of the layer.
        budget: seconds of training: of all cores on a CPU, by the clock on a GPU.

    Returns:
        Parameters of the cell, engine, updates, median time of an update in
        milliseconds, status, and the score on test data: mean squared error of
        the adding problem, accuracy of "digits". Of a run that diverged it is None.
    """
    setting = TASKS[task]
    data = keras_rnnx.datasets.load_task(setting.task, seed=seed, **setting.options)
    x, y = data.train
    starts = setting.chrono and lookup(cell).memory_gates
    biases = {"bias_initializer": Chrono(seed=seed)} if starts else {}
    layer = keras_rnnx.layers.RNN(
        keras_rnnx.cells.get(cell, units, seed=seed, **biases)
    )
    out = keras.layers.Dense(
        data.classes or 1, activation="softmax" if data.classes else None
    )
    model = keras.Sequential([keras.Input(x.shape[1:]), layer, out])
    model.compile(
        keras.optimizers.Adam(setting.rate, global_clipnorm=CLIP),
        loss=data.loss,
        metrics=list(data.metrics),
    )
    times, status = _updates(model, x, y, seed, budget)
    score = None
    if status == "trained":
        found = model.evaluate(*data.test, batch_size=256, verbose=0, return_dict=True)
        score = found["accuracy" if data.classes else "loss"]
        if not np.isfinite(score):
            status, score = "diverged", None
    ran = keras_rnnx.explain(layer)[0]
    return {
        "parameters": int(sum(np.prod(v.shape) for v in layer.trainable_variables)),
        "engine": ran.engine,
        "updates": len(times),
        "step_ms": _figures(1e3 * statistics.median(times)),
        "status": status,
        "score": None if score is None else _figures(score),
    }


def _updates(model, x, y, seed, budget):
    """Trains until the time is over; the seconds of each update, and how it ended."""
    # Nobody else's work is counted, and none of a GPU's.
    clock = time.perf_counter if device.gpu() else time.process_time
    random = np.random.default_rng(seed)
    # Batches of one size: another would compile anew.
    steps = len(x) // BATCH
    times, rows, done = [], None, 0
    while not times or sum(times) < budget:
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
        if not np.isfinite(loss):
            return times or [seconds], "diverged"
    return times, "trained"


def _figures(value):
    return float(f"{value:.4g}")
