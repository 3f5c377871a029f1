"""Exports a search to other tools: an Optuna journal, and TensorBoard runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from keras_rnnx.tuner.reporting._search import Search, Trial


def to_optuna(search: Search, path: Path) -> None:
    """Writes a journal with the trials of a search as a study."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        backend = optuna.storages.journal.JournalFileBackend(str(path))
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            study_name=search.task,
            direction="maximize" if search.higher else "minimize",
        )
        study.add_trials(_frozen(optuna, search, trial) for trial in _in_order(search))
    finally:
        optuna.logging.set_verbosity(level)


def _in_order(search: Search) -> list[Trial]:
    return sorted(search.trials, key=lambda trial: trial.trial)


def _frozen(optuna: Any, search: Search, trial: Trial) -> Any:
    states = optuna.trial.TrialState
    state = {"completed": states.COMPLETE, "stopped": states.PRUNED}.get(trial.status)
    if state is None or (state is states.COMPLETE and trial.score is None):
        state = states.FAIL
    curve = trial.history.get(search.objective, [])
    return optuna.create_trial(
        state=state,
        value=trial.score if state is states.COMPLETE else None,
        params=trial.values,
        distributions={
            name: _distribution(optuna, search, name) for name in trial.values
        },
        intermediate_values={
            epoch: value
            for epoch, value in enumerate(curve, start=1)
            if math.isfinite(value)
        },
        user_attrs={
            "status": trial.status,
            "reason": trial.reason,
            "parameters": trial.parameters,
        },
    )


def _distribution(optuna: Any, search: Search, name: str) -> Any:
    """A distribution that contains the values of all trials."""
    values = [trial.values[name] for trial in search.trials if name in trial.values]
    numbers = all(isinstance(value, (int, float)) for value in values)
    if not numbers or any(isinstance(value, bool) for value in values):
        return optuna.distributions.CategoricalDistribution(
            sorted(set(values), key=str)
        )
    kinds = optuna.distributions
    whole = all(isinstance(value, int) for value in values)
    make = kinds.IntDistribution if whole else kinds.FloatDistribution
    return make(min(values), max(values))


def to_tensorboard(search: Search, folder: Path) -> None:
    """Writes a run for each trial: its hyperparameters, and the logs of its epochs."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import summary_v2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for trial in _in_order(search):
        writer = EventFileWriter(str(folder / f"trial_{trial.trial:04d}"))
        began = trial.began or 0.0
        chosen = summary_v2.hparams_pb(
            trial.values, trial_id=f"trial {trial.trial}", start_time_secs=began
        )
        writer.add_event(Event(summary=chosen, wall_time=began))
        for name, values in trial.history.items():
            for epoch, value in enumerate(values):
                scalar = Summary(value=[Summary.Value(tag=name, simple_value=value)])
                writer.add_event(Event(summary=scalar, step=epoch, wall_time=began))
        writer.close()
