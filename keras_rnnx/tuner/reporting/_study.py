"""Importances and Pareto fronts of finished trials, computed by Optuna."""

from __future__ import annotations

import contextlib
import math
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from keras_rnnx._pages.numbers import magnitudes, text
from keras_rnnx.tuner.reporting._search import Search, Trial, measured

# Importances need at least the first number of trials; below the second they mean
# little.
LEAST, RELIABLE = 5, 20
# How often the scores are shuffled, to see which importances chance gives.
SHUFFLES = 20


class Importance(NamedTuple):
    """How much one hyperparameter decides.

    Attributes:
        name: of the hyperparameter.
        share: its importance; all importances add up to 1.
        chance: the share that 19 of 20 shuffles of the scores stay below.
        trials: number of trials that have it.
    """

    name: str
    share: float
    chance: float
    trials: int


class Importances(NamedTuple):
    """Importances of the varying hyperparameters, the greatest first.

    Attributes:
        rows: one row for each hyperparameter.
        top: number of trials that count as the best.
        trials: number of trials with a score.
    """

    rows: list[Importance]
    top: int
    trials: int


def importances(search: Search) -> Importances | str:
    """Computes importances by PED-ANOVA, including conditional hyperparameters.

    PED-ANOVA compares the values of the best trials with those of all trials. It needs
    only ranks, so that diverged trials can take part as the worst.

    Returns:
        The importances, or a sentence that says why there are none.
    """
    scored = [t for t in search.trials if t.status in ("completed", "stopped")]
    scored = [trial for trial in scored if trial.score is not None]
    diverged = [trial for trial in search.trials if trial.status == "diverged"]
    trials = scored + diverged
    if len(scored) < 2 or len(trials) < LEAST:
        return (
            f"Importances need at least {LEAST} trials, 2 of them with a score; "
            f"this search has {len(trials)} and {len(scored)}."
        )
    sign = 1 if search.higher else -1
    scores = [sign * trial.score for trial in scored if trial.score is not None]
    if min(scores) == max(scores) and not diverged:
        return "All trials have the same score, so no hyperparameter matters."
    scores += [min(scores) - abs(min(scores)) - 1] * len(diverged)
    columns = _distributions(trials, search.varying)
    if not columns:
        return "No hyperparameter differs between the trials that have a score."
    # At least five trials count as the best, as Optuna recommends, but at most half.
    quantile = min(max(0.1, 5 / len(trials)), 0.5)
    shares = _shares(trials, scores, columns, quantile)
    total = sum(shares.values())
    if not total:
        return "The best trials have the same hyperparameters as the others."
    shuffled, draws = random.Random(0), []
    for _ in range(SHUFFLES):
        mixed = shuffled.sample(scores, len(scores))
        draws.append(_shares(trials, mixed, columns, quantile))
    rows = [
        Importance(
            name,
            share / total,
            sorted(draw[name] for draw in draws)[-2] / total,
            sum(name in trial.values for trial in trials),
        )
        for name, share in shares.items()
    ]
    rows.sort(key=lambda row: (-row.share, row.name))
    return Importances(rows, math.ceil(quantile * len(trials)), len(trials))


def front(
    search: Search, trials: list[Trial], cost: Callable[[Trial], float | None]
) -> list[Trial]:
    """The Pareto front: trials that no other beats in score and cost, cheapest first.

    Args:
        search: the search.
        trials: completed trials.
        cost: a cost, of which less is better; trials without one are left out.
    """
    import optuna

    trials = measured(trials, cost)
    with _quiet():
        direction = "maximize" if search.higher else "minimize"
        study = optuna.create_study(directions=[direction, "minimize"])
        study.add_trials(
            optuna.create_trial(values=[trial.score, cost(trial)]) for trial in trials
        )
        best = [trials[frozen.number] for frozen in study.best_trials]
    return sorted(best, key=lambda trial: (cost(trial), trial.trial))


def _shares(
    trials: list[Trial],
    scores: list[float],
    columns: dict[str, tuple[Callable[..., Any], Any]],
    quantile: float,
) -> dict[str, float]:
    import optuna

    with _quiet():
        study = optuna.create_study(direction="maximize")
        for trial, score in zip(trials, scores):
            here = {n: column for n, column in columns.items() if n in trial.values}
            study.add_trial(
                optuna.create_trial(
                    value=score,
                    params={n: c[0](trial.values[n]) for n, c in here.items()},
                    distributions={n: column[1] for n, column in here.items()},
                )
            )
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(
            target_quantile=quantile
        )
        # Not normalized, so that shuffled scores can be compared.
        return optuna.importance.get_param_importances(
            study, evaluator=evaluator, params=sorted(columns), normalize=False
        )


def _distributions(
    trials: list[Trial], names: list[str]
) -> dict[str, tuple[Callable, Any]]:
    """For each name, a function that converts values for Optuna, and a distribution."""
    from optuna import distributions as kinds

    columns: dict[str, tuple[Callable, Any]] = {}
    for name in names:
        values = [trial.values[name] for trial in trials if name in trial.values]
        if len(values) < 2 or len(set(map(repr, values))) < 2:
            continue
        log = numeric(values) and magnitudes(values)
        if not numeric(values):
            choices = sorted(set(map(text, values)))
            columns[name] = text, kinds.CategoricalDistribution(choices)
        elif all(isinstance(value, int) for value in values):
            ends = min(values), max(values)
            columns[name] = int, kinds.IntDistribution(*ends, log=log)
        else:
            ends = float(min(values)), float(max(values))
            columns[name] = float, kinds.FloatDistribution(*ends, log=log)
    return columns


def numeric(values: list[Any]) -> bool:
    """Whether all values are numbers that an axis can show."""
    return all(
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        for value in values
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Turns Optuna's log and warnings off, and on again afterwards."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Warnings about experimental options, and about rare conditional values.
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
