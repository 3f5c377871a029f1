"""The comparison as a figure: a panel for each task, a row for each cell."""

from __future__ import annotations

import pathlib
from typing import Any

from benchmarks.catalogue import summary
from benchmarks.catalogue.tasks import TASKS
from benchmarks.plot import INSTALL

# Okabe & Ito's colours, which the colour-blind tell apart.
COLOURS = {"digits": "#0072B2", "adding": "#D55E00"}
LABELS = {
    "digits": "accuracy (more is better)",
    "adding": "mean squared error (less is better)",
}
# What an answer achieves that reads no input.
TRIVIAL = {"digits": 0.1, "adding": 1 / 6}
# Errors far beyond that of a trivial answer are drawn at the edge.
LARGEST = 0.5
INCHES = 8.0


def draw(head: dict[str, Any], runs: list[dict[str, Any]], path: pathlib.Path) -> str:
    """Draws the runs that were tested into an SVG file.

    Args:
        head: what holds for all runs.
        runs: as `runs.Kept` keeps them.
        path: of the file.

    Returns:
        What became of it, in words: without matplotlib it is left out.
    """
    try:
        from keras_rnnx._pages import style
    except ImportError:
        return f"the figure was left out, since {INSTALL}"
    with style.styled(style.ON_ANY_GROUND):
        _draw(head, runs, path)
    return f"figure in {path}"


def _draw(head, runs, path):
    from matplotlib.figure import Figure

    found = summary.summaries(runs)
    tasks = [task for task in TASKS if any(one.task == task for one in found)]
    cells = sorted({one.cell for one in found})
    height = 1.6 + 0.2 * len(cells)
    figure = Figure(figsize=(INCHES, height), layout="constrained")
    panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for task, axes in zip(tasks, panels):
        rows = {one.cell: one for one in found if one.task == task}
        _panel(axes, task, [rows.get(cell) for cell in cells])
    # The first name stands on top. The panels share their axis.
    panels[0].set_ylim(len(cells) - 0.5, -0.5)
    panels[0].set_yticks(range(len(cells)), cells)
    figure.suptitle(
        f"Mean and standard deviation over the seeds, dots are runs; "
        f"{head['budget']:g} s of training each\n"
        f"{head['backend']} {head['backend_version']}, {head['device']}, "
        f"{head['processor']}",
        fontsize="medium",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None, "Creator": None}
    figure.savefig(path, format="svg", metadata=metadata)


def _panel(axes, task, rows):
    """The cells of one task; a cell without runs has an empty row."""
    from keras_rnnx._pages.style import GREY

    colour = COLOURS[task]
    _axis(axes, task, [score for one in rows if one for score in one.scores])
    for place in range(0, len(rows), 2):
        axes.axhspan(place - 0.5, place + 0.5, color=GREY, alpha=0.08, lw=0)
    for place, one in enumerate(rows):
        if one is None:
            continue
        scores = [_within(task, score) for score in one.scores]
        axes.plot(scores, [place] * len(scores), "o", color=colour, ms=3.2, alpha=0.35)
        if one.mean is not None:
            axes.errorbar(
                _within(task, one.mean),
                place,
                xerr=_bar(axes, task, one),
                fmt="o",
                color=colour,
                ms=4.6,
                elinewidth=1.3,
            )
        if one.diverged:
            axes.annotate(
                f"{one.diverged} of {one.runs} diverged",
                (0.02, place),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize="x-small",
                color=GREY,
            )


def _axis(axes, task, scores):
    from keras_rnnx._pages.style import GREY

    axes.set_title(task, loc="left", fontweight="bold", fontsize="medium")
    axes.set_xlabel(LABELS[task])
    axes.grid(axis="x", alpha=0.3)
    axes.tick_params(axis="y", length=0)
    axes.axvline(TRIVIAL[task], color=GREY, linestyle=":", linewidth=1)
    if task == "digits":
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter("{x:.0%}")
        return
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_xlim(min([0.1, *(score / 1.5 for score in scores)]), LARGEST * 1.1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _bar(axes, task, one):
    """The bar of the spread, left and right, which ends at the axes."""
    if one.spread is None:
        return None
    middle = _within(task, one.mean)
    low = max(one.mean - one.spread, axes.get_xlim()[0])
    high = _within(task, one.mean + one.spread)
    return [[max(middle - low, 0)], [max(high - middle, 0)]]


def _within(task, score):
    return min(score, LARGEST if task == "adding" else 1.0)
