"""The runs: one cell, one task, one seed, trained for a given time and kept."""

from __future__ import annotations

import datetime
import importlib
import json
import os
import pathlib
import platform
import statistics
import time
from typing import Any

import keras
import numpy as np

import keras_rnnx
from keras_rnnx.cells.registry import catalog, lookup

ADDING_STEPS = 100
TASKS = {
    "adding": {"length": ADDING_STEPS, "train": 10_000},
    "digits": {},
}
BATCH, RATE, CLIP = 64, 1e-3, 1.0
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
        now = {**settings, **machine()}
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
        self._write()
        print(
            f"{cell}, {task}, seed {seed}: {found['status']}, score {found['score']}, "
            f"{found['updates']} updates, {found['step_ms']} ms each",
            flush=True,
        )

    def _write(self):
        lines = [f" {json.dumps(k)}: {json.dumps(v)}," for k, v in self.head.items()]
        runs = ",\n".join(f"  {json.dumps(run)}" for run in self.runs)
        text = "\n".join(["{", *lines, ' "runs": [', runs, " ]", "}"]) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Cut off while it is written, the runs before would be lost.
        partial = self.path.with_suffix(".partial")
        partial.write_text(text)
        partial.replace(self.path)


def machine() -> dict[str, Any]:
    """What the runs are made on."""
    backend = keras.backend.backend()
    return {
        "backend": backend,
        "backend_version": importlib.import_module(backend).__version__,
        "keras": keras.__version__,
        "keras_rnnx": keras_rnnx.__version__,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "processor": _processor(),
        "kernels": keras_rnnx.engine.backends.current().kernels()[0] or "none",
    }


def _processor():
    listing = pathlib.Path("/proc/cpuinfo")
    for line in listing.read_text().splitlines() if listing.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def train(cell: str, task: str, seed: int, units: int, budget: float) -> dict[str, Any]:
    """Trains a cell for a given time.

    The clock stands still while the first calls compile, and while the score is taken.

    Args:
        cell: its name.
        task: "adding" or "digits".
        seed: of data, weights and batches.
        units: of the layer.
        budget: seconds of training.

    Returns:
        Parameters of the cell, engine, updates, median time of an update in
        milliseconds, status, and the score on test data: mean squared error of
        "adding", accuracy of "digits". Of a run that diverged it is None.
    """
    data = keras_rnnx.datasets.load_task(task, seed=seed, **TASKS[task])
    x, y = data.train
    layer = keras_rnnx.layers.RNN(keras_rnnx.cells.get(cell, units, seed=seed))
    out = keras.layers.Dense(
        data.classes or 1, activation="softmax" if data.classes else None
    )
    model = keras.Sequential([keras.Input(x.shape[1:]), layer, out])
    model.compile(
        keras.optimizers.Adam(RATE, global_clipnorm=CLIP),
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
    random = np.random.default_rng(seed)
    # Batches of one size: another would compile anew.
    steps = len(x) // BATCH
    times, rows, done = [], None, 0
    while not times or sum(times) < budget:
        if done % steps == 0:
            rows = random.permutation(len(x))
        batch = rows[done % steps * BATCH :][:BATCH]
        model.reset_metrics()
        start = time.perf_counter()
        # Gives numbers, so that the work is done when it returns.
        loss = model.train_on_batch(x[batch], y[batch], return_dict=True)["loss"]
        seconds = time.perf_counter() - start
        done += 1
        if done > WARM_UP:
            times.append(seconds)
        if not np.isfinite(loss):
            return times or [seconds], "diverged"
    return times, "trained"


def _figures(value):
    return float(f"{value:.4g}")
