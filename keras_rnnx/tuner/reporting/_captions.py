"""The captions of the figures: how to read each, and what it does not show."""

from __future__ import annotations

from keras_rnnx.tuner.reporting._quality import PARAMETERS, STEP, outside, time_cost
from keras_rnnx.tuner.reporting._search import Search
from keras_rnnx.tuner.reporting._study import RELIABLE, Importances


def captions(search: Search, importances: Importances | str) -> dict[str, str]:
    """Sentences for each figure, by its name."""
    size = (
        "Completed trials. No other trial is both better and smaller than one on the "
        "Pareto front."
    )
    time = (
        "Completed trials. The time of a training step does not depend on the number "
        "of epochs."
        if time_cost(search) is STEP
        else "Completed trials. The time of a trial grows with its epochs, not with "
        "its model alone."
    )
    if outside(search, PARAMETERS):
        size += " A triangle at the edge stands for a score outside of the picture."
    workers = (
        "A bar for each trial in the row of its worker, with the number of the trial. "
        "The best one has a frame."
    )
    if any(trial.seeds for trial in search.trials):
        workers += " After these, the finalists trained again with other seeds."
    return {
        "learning_curves": f"{search.objective} after each epoch. A dot marks where a "
        f"trial was stopped, a cross where it diverged.",
        "parallel_coordinates": "One line for each trial, through its hyperparameters "
        "to its score. Colours go by rank, from the worst score to the best. The thick "
        "line is the best trial. Grey lines have no score.",
        "importance": _about(importances),
        "quality_vs_parameters": size,
        "quality_vs_seconds": time,
        "cells": "Scores of completed trials. A cell's best score also grows with the "
        "number of its trials, so compare the medians as well.",
        "workers": workers,
    }


def _about(importances: Importances | str) -> str:
    if not isinstance(importances, Importances):
        return ""
    text = (
        f"How much each hyperparameter decides whether a trial is among the best "
        f"{importances.top} of {importances.trials} (PED-ANOVA of Optuna). The shares "
        f"add up to 100 %. Stopped trials take part with their score so far, diverged "
        f"ones as the worst. Only a bar that is longer than its mark says something: "
        f"in 19 of 20 random orders of the scores, a bar stays shorter than its mark. "
        f"No bar says which value is good."
    )
    if importances.trials < RELIABLE:
        text += f" With fewer than {RELIABLE} trials these numbers mean little."
    return text
