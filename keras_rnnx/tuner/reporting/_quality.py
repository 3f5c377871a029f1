"""The figures of scores: against a cost, and by cell."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import CARETDOWN, CARETLEFT, CARETRIGHT, CARETUP

from keras_rnnx._pages import style
from keras_rnnx._pages.axes import labelled, quantity
from keras_rnnx._pages.numbers import count, robust, score, shortened, spans
from keras_rnnx._pages.style import COLOUR, MARKERS, SERIES
from keras_rnnx.tuner.reporting._search import Search, Trial, measured
from keras_rnnx.tuner.reporting._study import front


class Cost(NamedTuple):
    """A cost of models: its name in a sentence, on an axis, and a trial's value."""

    noun: str
    label: str
    of: Callable[[Trial], float | None]


PARAMETERS = Cost("number of parameters", "parameters", lambda trial: trial.parameters)
STEP = Cost("step time", "time of a training step (ms)", lambda trial: trial.step_ms)
SECONDS = Cost("time", "time of the trial (s)", lambda trial: trial.seconds)


def time_cost(search: Search) -> Cost:
    """The time of a step if it was measured: a trial's time counts its epochs too."""
    measured_steps = measured(search.completed, STEP.of)
    return STEP if len(measured_steps) >= len(search.completed) / 2 > 0 else SECONDS


def outside(search: Search, cost: Cost) -> bool:
    """Whether a score is outside of the figure's axis."""
    trials = measured(search.completed, cost.of)
    low, high = _limits(search, trials)[0]
    return any(not low <= trial.value <= high for trial in trials)


def _limits(search: Search, trials: list[Trial]) -> tuple[tuple[float, float], bool]:
    scores = [trial.value for trial in trials]
    log = not search.higher and spans(scores)
    return robust(scores, search.higher, log), log


def quality(search: Search, cost: Cost) -> Figure | str:
    """Scores against a cost, and the Pareto front."""
    trials = measured(search.completed, cost.of)
    if len(trials) < 2:
        return f"Fewer than 2 completed trials have a known {cost.noun}."
    (low, high), log = _limits(search, trials)
    costs = [value for value in map(cost.of, trials) if value is not None]
    wide = spans(costs, 3)

    figure, (axes,) = style.figure(5.6, 4.4)
    quantity(axes.xaxis, cost.label, robust(costs, None, wide), wide)
    quantity(axes.yaxis, search.objective, (low, high), log)
    looks = _looks(search, trials)
    for trial in reversed(trials):
        _, colour, marker = looks[trial.cell]
        outside = not low <= trial.value <= high
        edge = CARETDOWN if trial.value < low else CARETUP
        axes.plot(
            [cost.of(trial)],
            [np.clip(trial.score, low, high)],
            edge if outside else marker,
            color=colour,
            alpha=0.8,
            markersize=5,
            markeredgewidth=0,
            clip_on=False,
            zorder=3,
        )
    best = front(search, trials, cost.of)
    # The front is drawn only as far as there are trials.
    axes.step(
        [cost.of(trial) for trial in best],
        [trial.score for trial in best],
        where="post",
        color=COLOUR["muted"],
        linewidth=1,
        linestyle=(0, (4, 2)),
        zorder=2,
    )
    axes.plot(
        [cost.of(trial) for trial in best],
        [trial.score for trial in best],
        "o",
        color=COLOUR["ink"],
        markerfacecolor="none",
        markersize=9,
        clip_on=False,
        zorder=4,
    )
    distinct = dict.fromkeys(looks.values())
    entries = [(name, colour, marker, "") for name, colour, marker in distinct]
    if len(entries) == 1:
        entries = [(count(len(trials), "completed trial"), *entries[0][1:])]
    front_entry = ("Pareto front", COLOUR["muted"], "", "--")
    style.key(axes, [*entries, front_entry])
    ends = sorted(
        best, key=lambda trial: trial is not best[-1] and trial is not best[0]
    )
    points = [
        (value, t.score, f"trial {t.trial}")
        for t in ends
        if (value := cost.of(t)) is not None and t.score is not None
    ]
    labelled(axes, points, 8, search.higher)
    return figure


def _looks(
    search: Search, trials: list[Trial]
) -> dict[str | None, tuple[str, str, str]]:
    cells = [c for c in search.cells if any(trial.cell == c for trial in trials)]
    looks = {
        cell: (shortened(cell, 18), COLOUR[f"series-{number}"], marker)
        for number, (cell, marker) in enumerate(zip(cells[:SERIES], MARKERS), start=1)
    }
    others = ("other cells", COLOUR["others"], "o")
    return looks | {trial.cell: others for trial in trials if trial.cell not in looks}


def cells(search: Search) -> Figure | str | None:
    """The scores of each cell as points, with its median and its best one marked."""
    if len(search.cells) < 2:
        return None
    scores = {
        cell: [
            t.score for t in search.completed if t.cell == cell and t.score is not None
        ]
        for cell in search.cells
    }
    shown = [value for values in scores.values() for value in values]
    if not shown:
        return "No trial completed."
    log = not search.higher and spans(shown)
    limits = robust(shown, search.higher, log)

    figure, (axes,) = style.figure(7, 1.3 + 0.42 * len(scores))
    quantity(axes.xaxis, search.objective, limits, log)
    axes.set(ylim=(len(scores) - 0.5, -0.5))
    axes.set_yticks(
        range(len(scores)),
        [shortened(cell, 26) for cell in scores],
        parse_math=False,
        color=COLOUR["ink"],
    )
    axes.tick_params(left=False)
    axes.grid(axis="y", visible=False)
    for row, (cell, values) in enumerate(scores.items()):
        _strip(axes, row, values, limits, search.higher)
        here = [trial for trial in search.trials if trial.cell == cell]
        axes.annotate(
            _summary(values, len(here), search.higher),
            (1.02, row),
            xycoords=axes.get_yaxis_transform(),
            va="center",
            fontsize=8,
            color=COLOUR["muted"],
            annotation_clip=False,
        )
    style.key(
        axes,
        [
            ("completed trial", COLOUR["completed"], "o", ""),
            ("median", COLOUR["ink"], "|", ""),
            ("best", COLOUR["diverged"], "D", ""),
        ],
    )
    return figure


def _summary(values: list[float], trials: int, higher: bool) -> str:
    if not values:
        return f"0 of {trials} completed"
    best = max(values) if higher else min(values)
    middle = statistics.median(values)
    completed = f"{len(values)} of {trials} completed"
    return f"best {score(best)}, median {score(middle)}, {completed}"


def _strip(
    axes: Axes, row: int, values: list[float], limits: tuple[float, float], higher: bool
) -> None:
    if not values:
        return
    # The golden ratio spreads points evenly, the same way each time.
    offsets = [0.36 * ((0.618 * number) % 1 - 0.5) for number in range(len(values))]
    low, high = limits
    places = np.clip(values, low, high)
    for value, place, offset in zip(values, places, offsets):
        outside = CARETLEFT if value < low else CARETRIGHT
        axes.plot(
            [place],
            [row + offset],
            marker="o" if low <= value <= high else outside,
            color=COLOUR["completed"],
            alpha=0.5,
            markersize=5,
            markeredgewidth=0,
            clip_on=False,
        )
    middle = float(np.clip(statistics.median(values), *limits))
    axes.plot([middle] * 2, [row - 0.3, row + 0.3], color=COLOUR["ink"], linewidth=2)
    best = int(np.argmax(values) if higher else np.argmin(values))
    axes.plot(
        places[best],
        row + offsets[best],
        "D",
        color=COLOUR["diverged"],
        markersize=5.5,
        markeredgewidth=0,
        zorder=4,
        clip_on=False,
    )
