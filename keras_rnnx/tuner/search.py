"""A whole search: from data to a saved model."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.metrics_tracking import infer_metric_direction

from keras_rnnx._numbers import integer, number
from keras_rnnx.tuner import _session, result, seeds
from keras_rnnx.tuner._processes.chief import role
from keras_rnnx.tuner._processes.work import Work
from keras_rnnx.tuner._processes.worker import run_worker
from keras_rnnx.tuner._quiet import quiet
from keras_rnnx.tuner._session import Progress
from keras_rnnx.tuner._state import places
from keras_rnnx.tuner._state.finals import Finals
from keras_rnnx.tuner._state.journal import Journal, Lock
from keras_rnnx.tuner._state.oracle import SearchOracle
from keras_rnnx.tuner._state.samplers import sampler
from keras_rnnx.tuner._state.stopping import last, rule
from keras_rnnx.tuner._trials.sources import data_for
from keras_rnnx.tuner.errors import SearchError
from keras_rnnx.tuner.hypermodel import CELLS

TRIALS = 10


def search(
    x: Any,
    y: Any = None,
    *,
    cells: Iterable[str] = CELLS,
    preset: str = "standard",
    space: Mapping[str, Any] | None = None,
    params: int | None = None,
    front: Callable[[keras_tuner.HyperParameters, Any], Any] | None = None,
    hypermodel: keras_tuner.HyperModel | Callable | None = None,
    trials: int | None = None,
    max_epochs: int = 40,
    budget: float | None = None,
    tuner: str = "random",
    stopping: str | None = "median",
    finalists: int = 3,
    runs: int = 3,
    max_params: int | None = None,
    max_step_ms: float | None = None,
    max_latency_ms: float | None = None,
    objective: keras_tuner.Objective | str | None = None,
    workers: int | None = None,
    directory: str | os.PathLike = "search",
    seed: int = 0,
    batch_size: int | None = None,
    validation_data: Any = None,
    validation_split: float | None = None,
    test_data: Any = None,
    test_split: float | None = None,
    kind: str | None = None,
    folds: int = 1,
    groups: Any = None,
    class_weight: Any = None,
    callbacks: Callable[[], list[keras.callbacks.Callback]] | None = None,
    progress: Callable[[Progress], None] | None = None,
    command: str | None = None,
) -> result.SearchResult | None:
    """Searches for the recurrent model that fits data best, and saves it.

    If it is stopped at any moment and called again with the same arguments, it
    continues, and loses at most the running trials. If it was finished, it returns the
    same result; with more `trials`, `max_epochs` or `budget` it continues. With another
    space it starts again, in another directory, with a warning.

    Args:
        x: a `keras_rnnx.datasets.Task` or its name; sequences, as
            `keras_rnnx.datasets.Task.from_arrays` takes them; or batches: a
            `keras.utils.PyDataset`, a `tf.data.Dataset` or a torch `DataLoader` of
            inputs and targets.
        y: targets of sequences; with batches, other batches for validation.
        cells: names of the cells to choose from. Default "lstm", "gru", "leaky_rnn".
        preset, space, params, front: the search space, as for `HyperRNN`.
        hypermodel: instead of these, your own hypermodel or build function, which may
            use `keras_rnnx.tuner.recurrent_block`.
        trials: number of models to try. Default 10, or with a `budget` as many as it
            allows.
        max_epochs: largest number of epochs of a trial. Default 40.
        budget: seconds for the whole search, a quarter of them for `finalists`. Trials
            that still run at the end are stopped, and count with their best epoch.
        tuner: how hyperparameters are chosen. "random": each cell with its defaults,
            then random values; "bayesian": after these, KerasTuner's Gaussian process;
            "tpe": Optuna's tree of Parzen estimators (extra `report`); "grid": all
            combinations. Default "random".
        stopping: which hopeless trials are stopped. "median": those whose best value
            so far is worse than the median of the others after as many epochs; "asha":
            all but the better half, at a fifth of the epochs and at each doubling;
            None: none. A stopped trial can't win. Default "median".
        finalists: number of the best trials that are trained again with other seeds;
            the best mean wins. Default 3; 0: none.
        runs: number of trainings of each finalist, including the one of the search.
            Default 3.
        max_params: largest number of weights of a model. Settings with more are not
            tried.
        max_step_ms: most milliseconds of a training step, measured before a trial
            trains.
        max_latency_ms: most milliseconds of one step of one sequence, for models that
            run step by step; measured in the same way.
        objective: a name in the logs of `fit`, such as "val_accuracy", or a
            `keras_tuner.Objective` with the direction. Default: the objective of the
            task.
        workers: number of processes that run trials, each with its share of the
            threads, or with its own GPU. They restart when they die or when their
            memory has grown: TensorFlow keeps 10 to 20 MB of each model. Default None,
            or 0: this process runs the trials.
        directory: the folder for the search and its result. Default "search".
        seed: seed of the search, at least 0. Default 0.
        batch_size: number of sequences in a batch. Default: 32, or as in `space`.
        validation_data: `(x, y)` for validation, if `x` is sequences.
        validation_split: fraction or number of the sequences for validation. Default
            0.1.
        test_data: `(x, y)`, or batches, for the final test.
        test_split: fraction or number of the sequences for the test. Default 0.1.
        kind: kind of the task. Default: by the targets.
        folds: number of trainings of a trial, each on other parts of the training and
            validation data; the mean counts. Each part has the same share of classes;
            `groups` stay together; windows of a series are validated after those that
            they are trained on. Default 1: the split of the task.
        groups: the group of each sequence.
        class_weight: as for `keras_rnnx.datasets.Task.batches`.
        callbacks: a function that makes callbacks for a trial.
        progress: called with a `Progress` after every epoch and trial.
        command: the command that repeats the search, for its report.

    Returns:
        The leaderboard, the best model and its metrics, as saved in `directory`. None
        if KerasTuner's environment variables make this process a worker.

    Raises:
        ValueError: for an unknown task, cell or tuner, with similar names, for a number
            out of range, and for data that don't fit.
        SearchError: before the first trial, if `directory` is in use or holds another
            search, no metric gives the objective, the model can't train on the data, or
            the space has no model within the limits; later, if trials fail one after
            the other, or none has a score.
        SearchPaused: if the disk is full or gone.

    Example:

    >>> task = keras_rnnx.datasets.load_task("adding", length=4, train=64)
    >>> result = keras_rnnx.tuner.search(
    ...     task, cells=["gru"], trials=2, max_epochs=2, finalists=0,
    ...     directory=tempfile.mkdtemp())
    >>> [row["cell"] for row in result.leaderboard], sorted(result.test)
    (['gru', 'gru'], ['loss', 'mean_absolute_error'])
    """
    choose = sampler(tuner)
    _require(tuner)
    if trials is not None or budget is None:
        trials = integer("trials", TRIALS if trials is None else trials, 1)
    if budget is not None and number("budget", budget) <= 0:
        raise ValueError(f"`budget` must be positive, in seconds, received {budget!r}.")
    max_epochs = integer("max_epochs", max_epochs, 1)
    seed = integer("seed", seed, 0)
    finals = Finals(integer("finalists", finalists, 0), integer("runs", runs, 1))
    if workers is not None:
        workers = integer("workers", workers, 0) or None
    if batch_size is not None:
        batch_size = integer("batch_size", batch_size, 1)
    data = data_for(
        x,
        y,
        validation_data=validation_data,
        validation_split=validation_split,
        test_data=test_data,
        test_split=test_split,
        kind=kind,
        batch_size=batch_size,
        folds=folds,
        groups=groups,
        class_weight=class_weight,
    )
    goal = _objective(objective)
    if hypermodel is None:
        changes = {} if batch_size is None else {"batch_size": batch_size}
        changes |= space or {}
        made = data.hypermodel(
            cells=cells,
            preset=preset,
            space=changes,
            params=params,
            front=front,
            seed=seed,
            **({} if goal is None else {"objective": goal}),
        )
        goal = made.objective
    else:
        made = _own(hypermodel, space=space, params=params, front=front)
        if goal is None:
            task = getattr(data, "task", None)
            if task is None:
                raise ValueError(
                    "With a `hypermodel` over batches pass `objective`, too."
                )
            goal = keras_tuner.Objective(*task.objective)
    most = {"step_ms": max_step_ms, "latency_ms": max_latency_ms}
    limits = {k: number(f"max_{k}", v) for k, v in most.items() if v is not None}
    work = Work(
        made,
        data,
        max_epochs,
        Path(directory),
        goal,
        callbacks or list,
        tuple(limits),
    )
    signature = places.signature(
        work, tuner=tuner, stopping=stopping, seed=seed, batch_size=batch_size
    )
    work.directory = places.place(work.directory, signature)
    if role() == "worker":
        with quiet():
            run_worker(work)
        return None
    with quiet():
        try:
            work.directory.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise SearchError(f"{work.directory} is a file, not a folder.") from error
        with Lock(work.directory):
            journal = Journal(work.directory, signature)
            journal.read()
            oracle = SearchOracle(
                goal,
                choose,
                _rule(stopping, max_epochs, data.folds),
                trials,
                max_epochs if data.folds == 1 else data.folds,
                seeds.derive_seed(seed),
                journal,
                budget,
                finals,
                _refusing(made, max_params),
                limits,
                means=data.folds > 1,
            )
            about = {
                "task": data.name,
                "description": data.description,
                "tuner": tuner,
                "stopping": stopping,
                "max_epochs": max_epochs,
                "workers": workers or 1,
                "command": command,
            }
            return _session.run(oracle, work, workers, progress, about)


def _objective(objective: Any) -> keras_tuner.Objective | None:
    if objective is None or isinstance(objective, keras_tuner.Objective):
        return objective
    direction = infer_metric_direction(objective)
    if direction is None:
        raise ValueError(
            f"It is not known whether higher values of {objective!r} are better: pass "
            f"objective=keras_tuner.Objective({objective!r}, 'min') or 'max'."
        )
    return keras_tuner.Objective(objective, direction)


class _Function(keras_tuner.HyperModel):
    """A build function as a hypermodel; a class, so that workers can unpickle it."""

    def __init__(self, build: Callable[..., Any]):
        super().__init__()
        self.function = build

    def build(self, hp: keras_tuner.HyperParameters) -> Any:
        return self.function(hp)


def _own(hypermodel: Any, **others: Any) -> keras_tuner.HyperModel:
    passed = [name for name, value in others.items() if value]
    if passed:
        raise ValueError(
            f"Your own `hypermodel` has its own space: leave out "
            f"{', '.join(f'`{name}`' for name in passed)}."
        )
    if isinstance(hypermodel, keras_tuner.HyperModel):
        return hypermodel
    if not callable(hypermodel):
        raise ValueError(
            f"`hypermodel` must be a keras_tuner.HyperModel or a function from "
            f"hyperparameters to a compiled model, received {hypermodel!r}."
        )
    return _Function(hypermodel)


def _rule(stopping: str | None, epochs: int, folds: int) -> Any:
    if folds == 1:
        return rule(stopping, epochs)
    return rule(stopping, folds, last)


def _refusing(
    hypermodel: keras_tuner.HyperModel, max_params: int | None
) -> Callable[[Mapping[str, Any]], str | None] | None:
    if max_params is None:
        return None
    limit = integer("max_params", max_params, 1)

    def refuse(values: Mapping[str, Any]) -> str | None:
        hp = keras_tuner.HyperParameters()
        hp.values = dict(values)
        count = hypermodel.build(hp).count_params()
        # Without a collection of garbage: there may be hundreds of these in a row.
        keras.utils.clear_session(free_memory=False)
        return f"more than {limit:,} weights" if count > limit else None

    return refuse


def _require(tuner: str) -> None:
    # KerasTuner imports these only in a trial, so that every trial would fail.
    modules = {"filelock": "tuner", "psutil": "tuner"}
    if tuner == "bayesian":
        modules |= {"sklearn": "tuner", "scipy": "tuner"}
    if tuner == "tpe":
        modules["optuna"] = "report"
    if keras.backend.backend() == "tensorflow":
        modules["tensorboard"] = "tuner"
    for module, extra in modules.items():
        if importlib.util.find_spec(module) is None:
            raise ImportError(
                f"This search needs {module}: pip install 'keras-rnnx[{extra}]'."
            )
