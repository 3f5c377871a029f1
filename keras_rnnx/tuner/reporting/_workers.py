"""The figure of workers: which trial ran where, and when."""

from __future__ import annotations

import re
from typing import NamedTuple

from matplotlib.figure import Figure

from keras_rnnx._pages import style
from keras_rnnx._pages.axes import quantity
from keras_rnnx._pages.numbers import shortened
from keras_rnnx._pages.style import COLOUR
from keras_rnnx.tuner.reporting._search import Search, Trial

# A bar shows the number of its trial if it takes at least this share of the time.
LABELLED = 0.022


class Bar(NamedTuple):
    """A trial with its worker, its start and its duration in seconds."""

    trial: Trial
    worker: str
    began: float
    seconds: float


def workers(search: Search) -> Figure | str | None:
    """A bar for each trial from its start to its end, in the row of its worker."""
    names = sorted({t.worker for t in search.trials if t.worker}, key=_natural)
    if len(names) < 2:
        return None
    bars = [
        Bar(t, t.worker, t.began, t.seconds)
        for t in search.trials
        if t.worker and t.began is not None and t.seconds is not None
    ]
    if not bars:
        return "No trial has a known time."
    end = max(bar.began + bar.seconds for bar in bars)
    divisor, unit = 1, "s"
    if end >= 300:
        divisor, unit = (60, "min") if end < 3 * 3600 else (3600, "h")

    figure, (axes,) = style.figure(9, 1.3 + 0.42 * len(names))
    # The search may have ended after its last trial.
    length = max(end, search.seconds or 0, 1e-3) / divisor
    quantity(axes.xaxis, f"time since the search began ({unit})", (0, length), False)
    axes.set(ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(
        range(len(names)),
        [shortened(name, 22) for name in names],
        parse_math=False,
        color=COLOUR["ink"],
    )
    axes.tick_params(left=False)
    axes.grid(axis="y", visible=False)
    for bar in bars:
        trial = bar.trial
        row = names.index(bar.worker)
        begin, width = bar.began / divisor, bar.seconds / divisor
        best = trial is search.best
        colour = COLOUR.get(trial.status, COLOUR["others"])
        axes.barh(row, width, 0.66, begin, color=colour, alpha=0.42, linewidth=0)
        axes.barh(
            row,
            width,
            0.66,
            begin,
            facecolor="none",
            edgecolor=COLOUR["ink"] if best else colour,
            linewidth=1.8 if best else 0.6,
            zorder=4 if best else 3,
        )
        if width >= LABELLED * length or best:
            axes.text(
                begin + width / 2,
                row,
                str(trial.trial),
                ha="center",
                va="center",
                fontsize=7.5,
                fontweight="bold" if best else "normal",
                zorder=5,
            )
    there = [s for s in search.counts if any(bar.trial.status == s for bar in bars)]
    entries = [(s, COLOUR.get(s, COLOUR["others"]), "s", "") for s in there]
    style.key(axes, entries)
    return figure


def _natural(name: str) -> list[int | str]:
    return [int(n) if n.isdigit() else n for n in re.split(r"(\d+)", name)]
