"""Runs the trials of an oracle in this process."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_rnnx.tuner._state.oracle import (
    ATTEMPT,
    EPOCH,
    FACTS,
    failure_path,
    weights_path,
)
from keras_rnnx.tuner._trials import garbage, measures
from keras_rnnx.tuner._trials.data import SearchData
from keras_rnnx.tuner._trials.training import best_epoch, penalty
from keras_rnnx.tuner.errors import (
    SearchError,
    SearchPaused,
    described,
    is_of_the_disk,
    paused_by,
)
from keras_rnnx.tuner.hypermodel import HyperRNN

WAIT = 0.2
"""Seconds between requests for a trial while there is none."""


class SearchTuner(keras_tuner.Tuner):
    """A KerasTuner tuner that reports every epoch to a `SearchOracle`, and obeys it.

    It keeps the weights of the best epoch of each trial, and nothing else.

    Args:
        oracle: the oracle.
        hypermodel: a `HyperRNN`, or another hypermodel.
        data: the data that trials train on.
        epochs: largest number of epochs of a trial.
        directory: of the search.
        callbacks: a function that makes the user's callbacks for a trial.
        measures: names of the values to measure before a model is trained.
        leave: called before each trial with the number of trials so far; it may end
            this process.

    Attributes:
        watch: called after every epoch and every trial. Default: does nothing.
    """

    oracle: keras_tuner.Oracle | Patient

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        hypermodel: keras_tuner.HyperModel,
        data: SearchData,
        epochs: int,
        directory: Path,
        callbacks: Callable[[], list[keras.callbacks.Callback]] = list,
        measures: tuple[str, ...] = (),
        leave: Callable[[int], None] = lambda trials: None,
    ):
        declared = hypermodel
        if isinstance(hypermodel, HyperRNN):
            declared = _Declared(hypermodel)
        super().__init__(
            oracle, declared, directory=str(directory), project_name="trials"
        )
        self.hypermodel = hypermodel
        self.data = data
        self.epochs = epochs
        self.callbacks = callbacks
        self.measures = measures
        self.leave = leave
        self.watch: Callable[[], None] = lambda: None
        self._idle = False
        self._trials = 0
        if self._is_worker():
            self.oracle = Patient(self.oracle)

    def search(self, *args: Any, **kwargs: Any) -> None:
        """Runs trials until the oracle has none."""
        with garbage.of_trials_alone():
            super().search(*args, **kwargs)

    # KerasTuner's files are not used: the oracle has its own.
    def save(self) -> None:
        """Does nothing: the oracle writes its own files."""

    def reload(self) -> None:
        """Does nothing: the oracle reads its own files."""

    def pre_create_trial(self) -> None:
        """Waits if there was no trial before, and lets `leave` end the process."""
        if self._idle:
            time.sleep(WAIT)
        self._idle = True
        self.leave(self._trials)

    def run_trial(self, trial: Any) -> dict[str, float]:
        """Trains the model of a trial; returns the logs of its best epoch."""
        self._idle = False
        self._trials += 1
        try:
            result = self._run(trial)
        except Exception as error:
            if is_of_the_disk(error, Path(self.directory)):
                raise paused_by(error) from error
            self._keep_failure(trial, error)
            raise
        attempt = trial.hyperparameters.values[ATTEMPT]
        return {**result, ATTEMPT: attempt}

    def _run(self, trial: Any) -> dict[str, float]:
        reporter = Reporter(self.oracle, trial, lambda: self.watch())
        path = self._weights(trial)
        path.parent.mkdir(parents=True, exist_ok=True)
        keeper = KeepBest(path, self.oracle.objective)
        if self.data.folds == 1:
            return self._train(trial, 0, [keeper, Report(reporter)], reporter)
        results = []
        for fold in range(self.data.folds):
            results.append(self._train(trial, fold, [keeper], reporter))
            means = {k: float(np.mean([r[k] for r in results])) for k in results[0]}
            # The mean objective of all folds so far counts as that of an epoch.
            if not reporter.epoch(means, fold):
                break
        return means

    def _train(
        self,
        trial: Any,
        fold: int,
        callbacks: list[keras.callbacks.Callback],
        reporter: Reporter,
    ) -> dict[str, float]:
        hp = trial.hyperparameters
        model = self.build(hp)
        settings = self.data.settings(self.hypermodel, hp)
        if fold == 0:
            if not reporter.facts(self._facts(model, settings)):
                return {self.oracle.objective.name: self._worst}
            if self.measures:
                # A new model: measuring trained the first one, and drew random numbers.
                model = self.build(hp)
        result = self.hypermodel.fit(
            hp,
            model,
            **self.data.fit_arguments(settings, fold),
            epochs=self.epochs,
            callbacks=[*self.callbacks(), *callbacks],
            verbose=0,
        )
        return _as_metrics(result, self.oracle.objective)

    def build(self, hp: Any) -> keras.Model:
        """The model of a trial; frees the memory of earlier models first."""
        keras.utils.clear_session(free_memory=False)
        gc.collect()
        if keras.backend.backend() == "jax":
            import jax

            # Compiled programs of earlier models, 45 MB each.
            jax.clear_caches()
        model = self.hypermodel.build(hp)
        if not isinstance(model, keras.Model):
            raise SearchError(
                f"The build function must return a compiled keras.Model, but returned "
                f"{model!r}."
            )
        return model

    def _facts(
        self, model: keras.Model, settings: Mapping[str, Any]
    ) -> dict[str, float]:
        facts = {"parameters": float(model.count_params())}
        batch = None
        if "step_ms" in self.measures:
            batch = self.data.batch(settings)
            facts["step_ms"] = measures.step_ms(model, batch)
        if "latency_ms" in self.measures:
            batch = batch or self.data.batch(settings)
            facts["latency_ms"] = measures.latency_ms(model, batch)
        return facts

    @property
    def _worst(self) -> float:
        return np.inf if self.oracle.objective.direction == "min" else -np.inf

    def _weights(self, trial: Any) -> Path:
        attempt = int(trial.hyperparameters.values[ATTEMPT])
        return weights_path(Path(self.get_trial_dir(trial.trial_id)), attempt)

    def _keep_failure(self, trial: Any, error: Exception) -> None:
        directory = Path(self.get_trial_dir(trial.trial_id))
        attempt = int(trial.hyperparameters.values[ATTEMPT])
        text = described(error)
        trial.message = text
        failure_path(directory, attempt).write_text(text, encoding="utf-8")

    def on_trial_end(self, trial: Any) -> None:
        """Tells the oracle that a trial has ended."""
        if trial.message:
            # KerasTuner has put the traceback there.
            attempt = int(trial.hyperparameters.values[ATTEMPT])
            directory = Path(self.get_trial_dir(trial.trial_id))
            trial.message = failure_path(directory, attempt).read_text("utf-8")
        if isinstance(self.hypermodel, HyperRNN):
            # The oracle knows the space.
            values = trial.hyperparameters.values
            trial.hyperparameters = keras_tuner.HyperParameters()
            trial.hyperparameters.values = values
        self.oracle.end_trial(trial)
        self.watch()

    def load(self, trial: Any, attempt: int) -> keras.Model:
        """The model of a trial with the weights of its best epoch.

        Args:
            trial: the trial, as an oracle returns it.
            attempt: number of the attempt that it ended with.
        """
        model = self.build(trial.hyperparameters)
        directory = Path(self.get_trial_dir(trial.trial_id))
        model.load_weights(weights_path(directory, attempt))
        return model


def _as_metrics(result: Any, objective: keras_tuner.Objective) -> dict[str, float]:
    """The result of `HyperModel.fit`, as metrics of the best epoch."""
    if isinstance(result, keras.callbacks.History):
        best = best_epoch(result.history, objective.name, objective.direction)
        if best is None:
            return {objective.name: penalty(objective.direction)}
        return {name: float(row[best]) for name, row in result.history.items()}
    if isinstance(result, dict):
        return {name: float(value) for name, value in result.items()}
    if result is None:
        raise SearchError(
            "`fit` of the hypermodel returned None: return the result of `model.fit`, "
            "or the objective."
        )
    return {objective.name: float(result)}


class _Declared(keras_tuner.HyperModel):
    """A hypermodel that only registers its hyperparameters, and makes no model."""

    def __init__(self, hypermodel: Any):
        super().__init__(name=hypermodel.name, tunable=hypermodel.tunable)
        self._hypermodel = hypermodel

    def build(self, hp: keras_tuner.HyperParameters) -> None:
        self._hypermodel.declare_hyperparameters(hp)


class Reporter:
    """Reports a trial to an oracle.

    Args:
        oracle: the oracle, or its client.
        trial: the trial.
        watch: called after every epoch.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        trial: Any,
        watch: Callable[[], None] = lambda: None,
    ):
        self._oracle, self._watch = oracle, watch
        self._id = trial.trial_id
        self._note = {ATTEMPT: trial.hyperparameters.values[ATTEMPT]}

    def facts(self, facts: dict[str, float]) -> bool:
        """Reports measured values of the model; returns whether to continue."""
        return self._sent({**facts, FACTS: 1.0}, 0)

    def epoch(self, logs: dict[str, float], epoch: int) -> bool:
        """Reports an epoch, numbered from 0; returns whether to continue."""
        go_on = self._sent({**logs, EPOCH: 1.0}, epoch)
        self._watch()
        return go_on

    def _sent(self, metrics: dict[str, float], step: int) -> bool:
        metrics = {name: float(value) for name, value in metrics.items()}
        told = self._oracle.update_trial(self._id, {**metrics, **self._note}, step=step)
        return told.status == "RUNNING"


class Report(keras.callbacks.Callback):
    """Reports each epoch, and ends the training if the oracle says so."""

    sees_divergence = True

    def __init__(self, reporter: Reporter):
        super().__init__()
        self._reporter = reporter

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self._reporter.epoch(logs or {}, epoch):
            self.model.stop_training = True


class KeepBest(keras.callbacks.Callback):
    """Keeps the weights of the best epoch, in a file that is complete or absent.

    Over several trainings, as for folds, it keeps the best epoch of all.

    Args:
        path: of the file.
        objective: the objective to compare epochs by.
    """

    def __init__(self, path: Path, objective: keras_tuner.Objective):
        super().__init__()
        self._path, self._objective = path, objective
        self._best = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self._objective.has_value(logs or {}):
            self._save()
            return
        value = self._objective.get_value(logs)
        if not np.isfinite(value):
            return
        if self._best is None or self._objective.better_than(value, self._best):
            self._best = value
            self._save()

    def _save(self) -> None:
        new = self._path.with_name(f"new-{self._path.name}")
        self.model.save_weights(new, overwrite=True)
        os.replace(new, self._path)


class Patient:
    """A client of the chief that repeats a call if the chief went away during it.

    So a call may be made twice; the oracle treats both as one.

    Args:
        client: KerasTuner's client.
    """

    def __init__(self, client: Any):
        self._client = client

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not callable(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            import grpc

            while True:
                try:
                    return attribute(*args, **kwargs)
                except grpc.RpcError as error:
                    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                        raise SearchPaused(
                            "The chief of the search has not answered for an hour."
                        ) from error
                    if error.code() != grpc.StatusCode.UNAVAILABLE:
                        raise
                    time.sleep(1.0)

        return call
