"""Chooses the next trial: functions of the trials so far, without a state."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from keras_rnnx._errors import unknown
from keras_rnnx.tuner._state.records import (
    COMPLETED,
    DIVERGED,
    FAILED,
    RUNNING,
    STOPPED,
)
from keras_rnnx.tuner.seeds import derive_seed

SAMPLERS = ("random", "bayesian", "tpe", "grid")
# So many random trials come before a model of the trials suggests new ones.
RANDOM_TRIALS = 8


class Tried(NamedTuple):
    """A trial as a sampler sees it.

    Attributes:
        values: its hyperparameters.
        status: "running", "completed", "stopped", "diverged" or "failed".
        score: its best score so far, or None.
        epochs: number of epochs that it has run.
    """

    values: dict[str, Any]
    status: str
    score: float | None
    epochs: int


# A function of the space, the trials so far, the number of the draw, the seed and the
# objective. It returns values by name, or None if there are no others.
Sampler = Callable[
    [
        keras_tuner.HyperParameters,
        Sequence[Tried],
        int,
        int,
        keras_tuner.Objective,
    ],
    "dict[str, Any] | None",
]


def sampler(name: str) -> Sampler:
    """The sampler with a name.

    Raises:
        ValueError: for an unknown name.
    """
    samplers = {"random": random, "bayesian": bayesian, "tpe": tpe, "grid": grid}
    if name not in samplers:
        raise unknown("tuner", name, SAMPLERS)
    return samplers[name]


def random(
    space: Any, tried: Sequence[Tried], draw: int, seed: int, objective: Any
) -> dict[str, Any] | None:
    """First each cell with its defaults, then random values."""
    cells = _cells(space)
    if draw < len(cells):
        return defaults(space, cells[draw])
    return _at_random(space, derive_seed(seed, "random", draw))


def _cells(space: Any) -> list[Any]:
    """The cells to choose from, or [None] for a space without cells."""
    choices = [hp for hp in space.space if hp.name == "cell"]
    return list(choices[0].values) if choices else [None]


def defaults(
    space: keras_tuner.HyperParameters, cell: str | None = None
) -> dict[str, Any]:
    """The default values of the active hyperparameters, with a cell."""
    hps = keras_tuner.HyperParameters()
    for hp in space.space:
        hps.merge([hp])
        if hps.is_active(hp):
            hps.values[hp.name] = hp.default
        if hp.name == "cell" and cell is not None:
            hps.values["cell"] = cell
    return hps.values


def _at_random(space: Any, seed: int) -> dict[str, Any]:
    hps = keras_tuner.HyperParameters()
    for number, hp in enumerate(space.space):
        hps.merge([hp])
        if hps.is_active(hp):
            hps.values[hp.name] = hp.random_sample(derive_seed(seed, number))
    return hps.values


def grid(
    space: Any, tried: Sequence[Tried], draw: int, seed: int, objective: Any
) -> dict[str, Any] | None:
    """All combinations in turn; KerasTuner takes ten values of a range."""
    return next(
        itertools.islice(_combinations(list(space.space), {}), draw, None), None
    )


def _combinations(
    left: Sequence[Any], values: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    if not left:
        yield dict(values)
        return
    hp, *others = left
    hps = keras_tuner.HyperParameters()
    hps.values = values
    if not hps.is_active(hp):
        yield from _combinations(others, values)
        return
    for value in hp.values:
        yield from _combinations(others, {**values, hp.name: value})


def bayesian(
    space: Any, tried: Sequence[Tried], draw: int, seed: int, objective: Any
) -> dict[str, Any] | None:
    """KerasTuner's Bayesian optimization, after some random trials.

    A running trial counts as the worst so far, so that several workers get different
    points. A trial that diverged or failed counts as the worst too.
    """
    import threadpoolctl  # comes with scikit-learn, which the oracle needs

    scored = [trial.score for trial in tried if trial.score is not None]
    if len(tried) < len(_cells(space)) + RANDOM_TRIALS or len(scored) < 2:
        return random(space, tried, draw, seed, objective)
    guide = keras_tuner.oracles.BayesianOptimizationOracle(
        objective=objective, num_initial_points=1, seed=derive_seed(seed, "gp", draw)
    )
    guide.hyperparameters = space
    worst = (max if objective.direction == "min" else min)(scored)
    for number, earlier in enumerate(tried):
        hps = space.copy()
        hps.values = dict(earlier.values)
        trial = Trial(hps, f"{number:04d}", TrialStatus.COMPLETED)
        counts = earlier.score is not None and earlier.status in (COMPLETED, STOPPED)
        trial.score = earlier.score if counts else worst
        guide.trials[trial.trial_id] = trial
    with warnings.catch_warnings():
        # A warning of the Gaussian process about its own hyperparameters.
        warnings.filterwarnings("ignore", "The optimal value found for dimension")
        # With several threads, small products take 3 times as long.
        with threadpoolctl.threadpool_limits(1):
            suggestion = guide.populate_space("next")
    return suggestion.get("values")


def tpe(
    space: Any, tried: Sequence[Tried], draw: int, seed: int, objective: Any
) -> dict[str, Any] | None:
    """Optuna's tree of Parzen estimators, which knows conditions and running trials.

    Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"; with groups of
    hyperparameters that occur together and the constant liar for running trials.
    """
    import optuna

    if len(tried) < len(_cells(space)) + RANDOM_TRIALS:
        return random(space, tried, draw, seed, objective)
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(
                direction="minimize" if objective.direction == "min" else "maximize",
                sampler=optuna.samplers.TPESampler(
                    n_startup_trials=1,
                    multivariate=True,
                    group=True,
                    constant_liar=True,
                    seed=derive_seed(seed, "tpe", draw),
                ),
            )
            for trial in tried:
                study.add_trial(_as_optuna(space, trial))
            return _suggested(space, study.ask())
    finally:
        optuna.logging.set_verbosity(level)


def _as_optuna(space: Any, trial: Tried) -> Any:
    import optuna

    states = {
        RUNNING: optuna.trial.TrialState.RUNNING,
        COMPLETED: optuna.trial.TrialState.COMPLETE,
        STOPPED: optuna.trial.TrialState.PRUNED,
        DIVERGED: optuna.trial.TrialState.FAIL,
        FAILED: optuna.trial.TrialState.FAIL,
    }
    state = states[trial.status]
    pruned = trial.status == STOPPED and trial.score is not None
    params, distributions = {}, {}
    hps = keras_tuner.HyperParameters()
    hps.values = trial.values
    for hp in space.space:
        if hps.is_active(hp) and hp.name in trial.values:
            key = _key(hp)
            params[key] = trial.values[hp.name]
            distributions[key] = _distribution(hp)
    return optuna.create_trial(
        state=state,
        value=trial.score if trial.status == COMPLETED else None,
        params=params,
        distributions=distributions,
        intermediate_values={trial.epochs: trial.score} if pruned else {},
    )


def _key(hp: Any) -> str:
    """A name for each range: cells may have different values under one name."""
    if isinstance(hp, keras_tuner.engine.hyperparameters.Choice):
        return f"{hp.name} of {', '.join(map(str, hp.values))}"
    return hp.name


def _distribution(hp: Any) -> Any:
    import optuna

    kinds = keras_tuner.engine.hyperparameters
    if isinstance(hp, (kinds.Float, kinds.Int)):
        whole = isinstance(hp, kinds.Int)
        make = optuna.distributions.FloatDistribution
        if whole:
            make = optuna.distributions.IntDistribution
        log = hp.sampling == "log"
        step = None if log else hp.step
        if whole:
            step = step or 1
        return make(hp.min_value, hp.max_value, log=log, step=step)
    return optuna.distributions.CategoricalDistribution(list(hp.values))


def _suggested(space: Any, trial: Any) -> dict[str, Any]:
    hps = keras_tuner.HyperParameters()
    for hp in space.space:
        hps.merge([hp])
        if not hps.is_active(hp):
            continue
        distribution, key = _distribution(hp), _key(hp)
        if hasattr(distribution, "choices"):
            value = trial.suggest_categorical(key, distribution.choices)
        elif isinstance(hp, keras_tuner.engine.hyperparameters.Int):
            value = trial.suggest_int(
                key,
                distribution.low,
                distribution.high,
                step=distribution.step,
                log=distribution.log,
            )
        else:
            value = trial.suggest_float(
                key,
                distribution.low,
                distribution.high,
                step=distribution.step,
                log=distribution.log,
            )
        hps.values[hp.name] = value
    return hps.values
