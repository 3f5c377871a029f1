"""One trial: a row and a seed, trained and judged."""

from __future__ import annotations

import datetime
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

import keras_rnnx
from benchmarks.published import data, models
from benchmarks.published.declared import Setup
from benchmarks.published.watch import Watch
from keras_rnnx import callbacks
from keras_rnnx.datasets import PaddedBatches
from keras_rnnx.datasets.kinds import Objective
from keras_rnnx.models import zaremba_training

# Sequences at once where nothing is learned, and batches between backups of a text.
AT_ONCE, BACKUP = 250, 500
# Batches of sequences of many lengths are as long as a multiple of this, so that
# backends compile fewer programs.
MULTIPLE = {"jax": 32, "tensorflow": 1, "torch": 1}


def train(
    setup: Setup,
    seed: int,
    key: str,
    folder: pathlib.Path,
    raw: pathlib.Path | None = None,
    pause: Callable[[Watch], bool] = lambda watch: False,
) -> dict[str, Any] | None:
    """Trains a model from where it was cut off, and tests its best weights.

    Args:
        setup: how it is trained.
        seed: of data that are drawn, weights, masks and batches.
        key: what is reported, in the logs of `evaluate`.
        folder: where it keeps what it needs to go on. Removed at the end.
        raw: where raw files are.
        pause: called after each epoch; whether to stop here for now.

    Returns:
        Figures of the test part and the curve of the validation part; None if it was
        paused.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    task = data.load(setup.task, raw, _options(setup, seed))
    model = models.model(setup, task)
    more = _compile(setup, task, model)
    batches = _batches(setup, task, seed)
    validation = _part(setup, task, "validation")
    watch = Watch(setup, objective(setup, task), folder, batches, pause)
    if not watch.over:
        text = task.kind == "language_model"
        back_up = callbacks.BackupAndRestore(
            folder / "backup",
            delete_checkpoint=False,
            **({"dataset": batches, "save_freq": BACKUP} if text else {}),
        )
        before = [callbacks.TruncatedBPTT(batches)] if text else []
        model.fit(
            batches,
            shuffle=False,
            epochs=setup.epochs,
            validation_data=validation,
            callbacks=[*before, *more, watch, back_up],
            verbose=0,
        )
    if watch.paused:
        return None
    found = _judged(setup, task, model, watch, key)
    shutil.rmtree(folder)
    return found


def _options(setup, seed):
    """Options of the task; those that are drawn follow the seed."""
    if setup.task in data.FILES:
        return setup.options
    sizes = {"train": 1} if setup.updates else {}
    return {**sizes, **setup.options, "seed": seed}


def objective(setup: Setup, task: Any) -> Any:
    """The validation figure of a set-up: its name in the logs, and its direction."""
    return Objective("val_loss", "min") if setup.by_loss else task.objective


def _compile(setup, task, model):
    """Compiles a model; the callbacks of its recipe."""
    if setup.recipe == "zaremba":
        training = zaremba_training("small", setup.batch)
        model.compile(
            **{**training.compile, "metrics": [*_list(training), *task.new_metrics()]}
        )
        return training.fit["callbacks"]
    task.compile(model, models.optimizer(setup))
    return []


def _list(training):
    return list(training.compile.get("metrics", ()))


def _batches(setup, task, seed):
    if setup.updates:
        return data.Fresh(setup.task, setup.options, setup.updates, setup.batch, seed)
    if task.kind == "language_model":
        more = {"steps": setup.steps, "drop_remainder": True}
        return task.batches("train", setup.batch, **more)
    if setup.cut:
        x, y = (cut(sequences, setup.cut) for sequences in task.train)
        return PaddedBatches(x, y, setup.batch, seed=seed, **_padding(task))
    return task.batches("train", setup.batch, seed=seed, **_padding(task))


def cut(sequences: Sequence[Any], steps: int) -> list[Any]:
    """Sequences of about so many steps, from longer ones."""
    return [
        piece
        for whole in sequences
        for piece in np.array_split(whole, max(1, round(len(whole) / steps)))
    ]


def _part(setup, task, name):
    if task.kind == "language_model":
        more = {"steps": setup.steps, "drop_remainder": True}
        return task.batches(name, setup.batch, **more)
    split = getattr(task, name)
    at_once = min(AT_ONCE, len(split.x)) if task.steps else setup.batch
    return task.batches(name, at_once, **_padding(task))


def _padding(task):
    """Models of sequences that are equally long mask nothing: none is padded."""
    multiple = MULTIPLE[keras.backend.backend()] if task.steps is None else 1
    return {"pad_to_multiple_of": multiple}


def _judged(setup, task, model, watch, key):
    found: dict[str, Any] = {
        "status": "diverged" if watch.diverged else "trained",
        "test": None,
        "best": None,
        "solved": None,
        "epochs": len(watch.curve),
        "updates": watch.updates,
        "cpu_s": watch.cpu,
        "parameters": int(model.count_params()),
        "curve": watch.curve,
        **_where(),
    }
    if watch.curve and not watch.diverged:
        best = watch.curve[watch.best]
        # The file has the variables of the optimizer, too.
        model.optimizer.build(model.trainable_variables)
        model.load_weights(watch.weights)
        if task.kind == "language_model":
            keras_rnnx.models.reset_states(model)
        logs: Mapping[str, Any] = model.evaluate(
            _part(setup, task, "test"), return_dict=True, verbose=0
        )
        figure = float(logs[key])
        found |= {"best": best, "test": figure if np.isfinite(figure) else None}
        if setup.goal is not None:
            found["solved"] = bool(watch.sign * best >= watch.sign * setup.goal)
    return found


def _where():
    backend = keras.backend.backend()
    return {
        "backend": backend,
        "keras_rnnx": keras_rnnx.__version__,
        "date": datetime.date.today().isoformat(),
    }
