"""The search that each cell gets: which settings are tried, and which is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.catalogue.tasks import TASKS
from keras_rnnx.cells.registry import lookup
from keras_rnnx.layers import recipes

# Learning rates of Adam for a cell with two starts, and for one with a single start:
# the same range and the same number of trials. In so little time low rates get nowhere.
RATES = (0.002, 0.006, 0.02)
DENSE_RATES = (0.002, 0.0032, 0.005, 0.008, 0.0126, 0.02)
DEFAULT = "default"
# With these recipes a simple RNN is another cell of the catalogue.
OTHER_CELLS = {"irnn": "irnn", "np-rnn": "np_rnn"}


@dataclass(frozen=True)
class Trial:
    """One setting of a cell on a task.

    Attributes:
        cell: its name.
        task: one of `TASKS`.
        start: "default" for the default arguments of the cell, or a recipe.
        rate: learning rate of Adam.
    """

    cell: str
    task: str
    start: str
    rate: float


def starts(cell: str) -> list[str]:
    """The starts of a cell: its defaults, and the recipe that fits it, if there is one.

    Args:
        cell: its name.
    """
    fits = recipes.fitting(lookup(cell))
    return [DEFAULT, *[name for name in fits if name not in OTHER_CELLS][:1]]


def of(cell: str, task: str) -> list[Trial]:
    """The settings that are tried, six for each cell.

    Args:
        cell: its name.
        task: one of `TASKS`.
    """
    found = starts(cell)
    rates = RATES if len(found) > 1 else DENSE_RATES
    return [Trial(cell, task, start, rate) for start in found for rate in rates]


def chosen(searched: list[dict[str, Any]]) -> Trial:
    """The best setting by the scores on the part for validation.

    Where two scores are equal, the lower loss decides. Where every trial diverged,
    the first one is taken: default arguments and the lowest rate.

    Args:
        searched: the runs of the search of one cell on one task.
    """
    ended = [run for run in searched if run["score"] is not None]
    best = min(ended, key=_rank) if ended else searched[0]
    return Trial(best["cell"], best["task"], best["start"], best["rate"])


def _rank(run):
    score = run["score"]
    return -score if TASKS[run["task"]].more_is_better else score, run["loss"]
