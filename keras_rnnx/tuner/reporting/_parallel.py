"""The figure of parallel coordinates: a vertical axis for each hyperparameter."""

from __future__ import annotations

import collections
import operator
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from keras_rnnx._pages import style
from keras_rnnx._pages.axes import plain
from keras_rnnx._pages.numbers import (
    magnitudes,
    robust,
    shortened,
    spans,
    text,
    ticks,
)
from keras_rnnx._pages.style import COLOUR, LEVELS
from keras_rnnx.tuner.reporting._search import Search, Trial
from keras_rnnx.tuner.reporting._study import numeric

# Largest numbers of axes and of categories that a reader can tell apart.
AXES, CATEGORIES, FEW = 9, 14, 6
# The part of a category's height over which its lines spread.
BAND = 0.6


class Column(NamedTuple):
    """One vertical axis.

    Attributes:
        name: its title.
        places: from 0 at the bottom to 1 at the top, for each trial.
        marks: `(place, label)` of the ticks.
    """

    name: str
    places: list[float]
    marks: list[tuple[float, str]]


def chosen(search: Search, order: list[str]) -> list[str]:
    """The hyperparameters that get an axis: varying ones that all trials have.

    Args:
        search: the search.
        order: names of hyperparameters, the most important first, or none.
    """
    rank = {name: place for place, name in enumerate(order)}
    common = sorted(search.common, key=lambda name: rank.get(name, len(rank)))[:AXES]
    return [name for name in search.names if name in common]


def parallel_coordinates(search: Search, order: list[str]) -> Figure | str:
    """A line for each trial, coloured by its score."""
    names = chosen(search, order)
    if not names:
        return "No hyperparameter that all trials have differs between them."
    trials = [t for t in search.trials if t.status in ("completed", "stopped")]
    trials = [trial for trial in trials if trial.score is not None]
    if not trials:
        return "No trial has a score."
    # By score, so that lines of one category do not cross without need.
    trials.sort(key=operator.attrgetter("score"), reverse=not search.higher)
    grey = [trial for trial in search.trials if trial.score is None]
    columns = [_column(name, grey + trials) for name in names]
    scores = _scores(search, trials)

    figure, (axes,) = style.figure(9, 4.2)
    axes.set_axis_off()
    length = min(15, 130 // (len(names) + 1))
    lines = max(len(_lines(name, length)) for name in [*names, search.objective])
    axes.set(xlim=(-0.35, len(names) + 0.42), ylim=(-0.02, 1.04 + 0.06 * lines))
    alpha = float(np.clip(8 / np.sqrt(len(trials)), 0.45, 0.9))
    levels = _levels([trial.value for trial in trials])
    for index, _ in enumerate(grey):
        places = [column.places[index] for column in columns]
        _line(axes, places, COLOUR["faint"], 0.55, 0.7, 1)
    for index, trial in enumerate(trials):
        places = [column.places[len(grey) + index] for column in columns]
        place = scores.places[index]
        best = trial is search.best
        colour = COLOUR[f"scale-{levels[index]}"]
        width = 2.8 if best else 1.1
        _line(
            axes,
            [*places, place],
            colour,
            1 if best else alpha,
            width,
            4 if best else 2,
        )
    for x, column in enumerate([*columns, scores]):
        _upright(axes, x, column, length)
    _strip(axes, len(names), scores.places, levels)
    if search.best is not None and search.best in trials:
        place = scores.places[trials.index(search.best)]
        axes.plot(
            [len(names)], [place], "o", color=COLOUR["ink"], markersize=5, zorder=6
        )
    return figure


def _scores(search: Search, trials: list[Trial]) -> Column:
    values = [trial.value for trial in trials]
    log = not search.higher and spans(values)
    low, high = robust(values, search.higher, log)
    return Column(search.objective, *_numbers(values, low, high, log, plain))


def _column(name: str, trials: list[Trial]) -> Column:
    values = [trial.values[name] for trial in trials]
    distinct = set(map(repr, values))
    few = len(distinct) <= FEW and len(values) >= 2 * len(distinct)
    if numeric(values) and not few:
        log = magnitudes(values)
        whole = all(isinstance(value, int) for value in values)
        low, high = min(values), max(values)
        return Column(name, *_numbers(values, low, high, log, plain, whole))
    return Column(name, *_categories(values))


def _numbers(
    values: list[float],
    low: float,
    high: float,
    log: bool,
    label: Callable[[float], str],
    whole: bool = False,
) -> tuple[list[float], list[tuple[float, str]]]:
    function = np.log if log else np.asarray
    start, end = function(low), function(high)
    size = (end - start) or 1.0
    places = [float(np.clip((function(v) - start) / size, 0, 1)) for v in values]
    marks = [
        (float((function(t) - start) / size), label(t))
        for t in ticks(low, high, log, whole, 4)
    ]
    return places, marks


def _categories(values: list[Any]) -> tuple[list[float], list[tuple[float, str]]]:
    key = (lambda value: value) if numeric(values) else text
    order = sorted({key(value) for value in values})
    height = 1 / len(order)
    members = collections.defaultdict(list)
    for index, value in enumerate(values):
        members[key(value)].append(index)
    places = [0.0] * len(values)
    for number, value in enumerate(order):
        here = members[value]
        # Next to each other in the order of their scores, not on top of each other.
        for step, index in enumerate(here):
            offset = (step + 0.5) / len(here) - 0.5
            places[index] = height * (number + 0.5 + BAND * offset)
    every = -(-len(order) // CATEGORIES)
    marks = [
        (height * (number + 0.5), shortened(text(value), 16))
        for number, value in enumerate(order)
        if number % every == 0
    ]
    return places, marks


def _line(
    axes: Axes,
    places: list[float],
    colour: str,
    alpha: float,
    width: float,
    zorder: float,
) -> None:
    points: list[tuple[float, float]] = [(0, places[0])]
    codes = [Path.MOVETO]
    for x, (here, there) in enumerate(zip(places, places[1:])):
        points += [(x + 0.4, here), (x + 0.6, there), (x + 1, there)]
        codes += [Path.CURVE4] * 3
    path = Path(points, codes)
    axes.add_patch(
        PathPatch(
            path,
            facecolor="none",
            edgecolor=colour,
            alpha=alpha,
            linewidth=width,
            zorder=zorder,
            capstyle="round",
        )
    )


def _upright(axes: Axes, x: float, column: Column, length: int) -> None:
    axes.plot([x, x], [0, 1], color=COLOUR["muted"], linewidth=1, zorder=5)
    for place, label in column.marks:
        axes.text(
            x + 0.05,
            place,
            label,
            va="center",
            fontsize=8,
            parse_math=False,
            zorder=7,
            bbox={
                "facecolor": COLOUR["paper"],
                "edgecolor": "none",
                "alpha": 0.78,
                "pad": 0.8,
            },
        )
    lines = _lines(column.name, length)
    # So many characters of this size fit between two axes; longer words are smaller.
    size = 8.5 * min(1.0, 0.77 * length / max(1, *map(len, lines)))
    for number, line in enumerate(reversed(lines)):
        axes.text(
            x,
            1.045 + 0.055 * number,
            line,
            ha="center",
            fontsize=size,
            fontweight="bold",
            parse_math=False,
        )


def _lines(name: str, length: int) -> list[str]:
    """A name in at most three lines, broken between words."""
    lines = [""]
    for word in re.findall(r"[^_/ .-]*[_/ .-]?", name):
        if lines[-1] and len(lines[-1] + word.rstrip()) > length:
            lines.append("")
        lines[-1] += word
    if len(lines) > 3:
        lines = [*lines[:2], lines[2] + "…"]
    return [shortened(line.rstrip(), length + 1) for line in lines]


def _levels(scores: list[float]) -> list[int]:
    """The colour of each score, worst first: equally many trials for each colour."""
    last = len(scores) - 1
    ranks = [last - scores[::-1].index(score) for score in scores]
    return [LEVELS - 1 if rank == last else LEVELS * rank // last for rank in ranks]


def _strip(axes: Axes, x: float, places: list[float], levels: list[int]) -> None:
    # Each colour extends half the way to the next one.
    ends: dict[int, tuple[float, float]] = {}
    for place, level in zip(places, levels):
        low, high = ends.get(level, (place, place))
        ends[level] = min(low, place), max(high, place)
    order = sorted(ends.items(), key=lambda item: item[1])
    middles = [(a[1][1] + b[1][0]) / 2 for a, b in zip(order, order[1:])]
    for (level, _), low, high in zip(order, [0, *middles], [*middles, 1]):
        axes.add_patch(
            Rectangle(
                (x - 0.012, low),
                0.03,
                high - low,
                facecolor=COLOUR[f"scale-{level}"],
                linewidth=0,
                zorder=5.5,
            )
        )
