"""One run of a tuner of KerasTuner over the same hypermodel."""

from __future__ import annotations

import contextlib
import functools
import time
from pathlib import Path
from typing import Any

import keras_tuner

from keras_rnnx.tuner import HyperRNN
from keras_rnnx.tuner._trials.data import TaskData

# More than fit into the time.
MANY = 1000


class TimeIsUp(keras_tuner.errors.FatalError):
    """Ends a search: KerasTuner hands this kind of error on."""


class Watch:
    """What is noted of a search, and when it ends.

    Args:
        seconds: how long it may run.
        objective: what it looks for.
    """

    def __init__(self, seconds: float, objective: keras_tuner.Objective):
        self.seconds, self.objective = seconds, objective
        self.start = 0.0
        self.points: list[tuple[float, float]] = []
        self.begun = self.ended = self.epochs = 0
        self.parameters: dict[str, int] = {}
        self.best: tuple[float, Any] | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the search was called."""
        return time.perf_counter() - self.start

    def check(self) -> None:
        """Raises `TimeIsUp` if it is."""
        if self.elapsed >= self.seconds:
            raise TimeIsUp

    def epoch(self, trial: Any, logs: dict[str, float]) -> None:
        """Notes what an epoch logged."""
        value = float(self.objective.get_value(logs))
        self.points.append((self.elapsed, value))
        if self.best is None or self.objective.better_than(value, self.best[0]):
            self.best = value, trial


@functools.cache
def timed(name: str) -> type:
    """A class of KerasTuner that ends when the time is up.

    The epoch that runs then is finished, as `search` does it.
    """
    base = getattr(keras_tuner, name)

    class Timed(base):
        watch: Watch

        def on_trial_begin(self, trial):
            self.watch.check()
            self.watch.begun += 1
            super().on_trial_begin(trial)

        def on_epoch_begin(self, trial, model, epoch, logs=None):
            self.watch.check()
            self.watch.epochs += 1
            self.watch.parameters[trial.trial_id] = model.count_params()
            super().on_epoch_begin(trial, model, epoch, logs=logs)

        def on_epoch_end(self, trial, model, epoch, logs=None):
            self.watch.epoch(trial, logs)
            super().on_epoch_end(trial, model, epoch, logs=logs)

        def on_trial_end(self, trial):
            super().on_trial_end(trial)
            self.watch.ended += self.watch.elapsed < self.watch.seconds

    return Timed


def run(
    task: Any,
    name: str,
    seed: int,
    seconds: float,
    max_epochs: int,
    preset: str,
    folder: Path,
) -> dict[str, Any]:
    """Searches until the time is over.

    The epochs of all trials count, those of a trial that has not ended, too.

    Args:
        name: of the class of KerasTuner.

    Returns:
        As `benchmarks.tuning.ours.run`.
    """
    hypermodel = HyperRNN.for_task(task, preset=preset, seed=seed)
    settings = hypermodel.settings(keras_tuner.HyperParameters())
    data = TaskData(task)
    options = {"max_trials": MANY}
    if name == "Hyperband":
        options = {
            "max_epochs": max_epochs,
            "factor": 3,
            "hyperband_iterations": MANY,
        }
    tuner = timed(name)(
        hypermodel,
        hypermodel.objective,
        # KerasTuner takes a seed of 0 for none.
        seed=seed + 1,
        directory=folder,
        project_name="trials",
        **options,
    )
    tuner.watch = watch = Watch(seconds, hypermodel.objective)
    arguments = data.fit_arguments(settings, 0)
    watch.start = time.perf_counter()
    with contextlib.suppress(TimeIsUp):
        tuner.search(**arguments, epochs=max_epochs, verbose=0)
    wall = watch.elapsed
    test = None
    if watch.best is not None:
        model = tuner.load_model(watch.best[1])
        test = model.evaluate(data.test(settings), verbose=0, return_dict=True)
        test = {key: float(value) for key, value in test.items()}
    best = watch.best and watch.parameters[watch.best[1].trial_id]
    return {
        "points": watch.points,
        "test": test,
        "trials": {"begun": watch.begun, "ended": watch.ended, "stopped": 0},
        "epochs": watch.epochs,
        "parameters": list(watch.parameters.values()),
        "parameters_of_best": best,
        "wall": wall,
    }
