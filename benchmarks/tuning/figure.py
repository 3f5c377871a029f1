"""The figure of the comparison: the best score so far over the seconds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from benchmarks.tuning.curves import at
from benchmarks.tuning.methods import is_ours

# Okabe & Ito's colours, which the colour-blind tell apart: first ours, then others.
OURS = ("#0072B2", "#D55E00", "#009E73", "#000000")
THEIRS = ("#E69F00", "#CC79A7", "#56B4E9")
COLUMNS = 3
# Scores of the first tenth of the time would hide the differences of later ones.
FROM = 0.1
# A logarithmic axis where the worst is so many times the best.
WIDE = 8


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """Draws a panel for each task, a line with its spread for each method."""
    tasks = list(dict.fromkeys(run["task"] for run in runs))
    methods = sorted({run["method"] for run in runs}, key=lambda m: (not is_ours(m), m))
    styles = _styles(methods)
    columns = min(COLUMNS, len(tasks))
    rows = math.ceil(len(tasks) / columns)
    figure = Figure(figsize=(5.2 * columns, 3.5 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(tasks) :]:
        axes.set_axis_off()
    for task, axes in zip(tasks, panels):
        _panel(axes, [run for run in runs if run["task"] == task], styles)
        axes.set_title(task, loc="left", fontweight="bold", fontsize="medium")
    figure.suptitle(
        f"Best validation score so far, mean and standard deviation over seeds; "
        f"{runs[-1]['backend']}, {runs[-1]['device']}",
        fontsize="medium",
    )
    figure.savefig(path, dpi=120)


def _styles(methods):
    counts = {True: 0, False: 0}
    found = {}
    for method in methods:
        own = is_ours(method)
        colours = OURS if own else THEIRS
        found[method] = {
            "color": colours[counts[own] % len(colours)],
            "linestyle": "-" if own else "--",
            "linewidth": 2.2 if own else 1.6,
        }
        counts[own] += 1
    return found


def _panel(axes, runs, styles):
    seconds = runs[0]["seconds"]
    name, direction = runs[0]["objective"]
    times = np.linspace(0, seconds, 241)
    ends, seen = {}, []
    for method, style in styles.items():
        curves = [run["curve"] for run in runs if run["method"] == method]
        curves = [curve for curve in curves if curve]
        if not curves:
            continue
        values = np.array([at(curve, times) for curve in curves])
        # Where some have no score yet, a mean of the others would jump.
        mean = values.mean(axis=0)
        spread = values.std(axis=0, ddof=1) if len(values) > 1 else 0 * mean
        low, high = mean - spread, mean + spread
        if np.nanmin(mean) > 0:
            # A logarithmic axis has no place for others.
            low = np.maximum(low, 0.1 * np.nanmin(mean))
        axes.plot(times, mean, **style)
        axes.fill_between(times, low, high, color=style["color"], alpha=0.15, lw=0)
        ends[method] = mean[-1]
        seen += [mean[times >= FROM * seconds], low[-1:], high[-1:]]
    _limits(axes, np.concatenate(seen) if seen else np.array([0.0, 1.0]))
    axes.set_xlim(0, seconds)
    axes.set_xlabel("seconds")
    better = "less" if direction == "min" else "more"
    axes.set_ylabel(f"{name} ({better} is better)")
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    _label(axes, ends, styles)


def _limits(axes, values):
    values = values[np.isfinite(values)]
    if not len(values):
        return
    low, high = values.min(), values.max()
    positive = values[values > 0]
    if low >= 0 and len(positive) and high > WIDE * positive.min():
        axes.set_yscale("log")
        axes.set_ylim(positive.min() / 1.2, high * 1.2)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        formatter = ScalarFormatter()
        formatter.set_scientific(False)
        axes.yaxis.set_major_formatter(formatter)
        axes.yaxis.set_minor_formatter(NullFormatter())
        return
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    axes.set_ylim(low - margin, high + margin)


def _label(axes, ends, styles):
    """Names at the ends of the lines, apart from each other."""
    ends = {method: value for method, value in ends.items() if np.isfinite(value)}
    if not ends:
        return
    to_axes = axes.transData + axes.transAxes.inverted()
    places = {m: to_axes.transform((0, value))[1] for m, value in ends.items()}
    names = sorted(places, key=places.get)
    heights = spaced([min(max(places[m], 0.0), 1.0) for m in names], 0.085)
    for method, height in zip(names, heights):
        axes.plot(
            [1.0, 1.03],
            [places[method], height],
            transform=axes.transAxes,
            color=styles[method]["color"],
            linewidth=0.8,
            clip_on=False,
        )
        axes.annotate(
            method,
            (1.03, height),
            xycoords="axes fraction",
            xytext=(2, 0),
            textcoords="offset points",
            color=styles[method]["color"],
            fontsize="small",
            va="center",
            annotation_clip=False,
        )


def spaced(places: list[float], gap: float) -> list[float]:
    """Sorted places in [0, 1], moved as far apart as `gap`, upwards, then down."""
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + gap) if found else place)
    limit = 1.0
    for number in range(len(found) - 1, -1, -1):
        found[number] = min(found[number], limit)
        limit = found[number] - gap
    return found
