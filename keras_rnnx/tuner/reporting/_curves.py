"""The figure of learning curves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from keras_rnnx._pages import style
from keras_rnnx._pages.axes import quantity
from keras_rnnx._pages.numbers import robust, score, spans
from keras_rnnx._pages.style import COLOUR
from keras_rnnx.tuner.reporting._search import Search, Trial

ENDS = {"stopped": "o", "diverged": "X", "failed": "X"}


def curve(search: Search, trial: Trial) -> np.ndarray:
    """The objective after each epoch; values that are not finite become NaN."""
    values = np.array(trial.history.get(search.objective, ()), float)
    # Larger values do not fit on any axis.
    return np.where(np.isfinite(values) & (np.abs(values) < 1e100), values, np.nan)


def learning_curves(search: Search) -> Figure | str:
    """The objective of each trial over its epochs."""
    curves = {t.trial: curve(search, t) for t in search.trials}
    drawn = [trial for trial in search.trials if len(curves[trial.trial])]
    if not drawn:
        return f"No trial has a history of {search.objective}."
    sound = [trial for trial in drawn if trial.status in ("completed", "stopped")]
    shown = np.concatenate([curves[trial.trial] for trial in sound or drawn])
    log = not search.higher and spans(shown)
    limits = robust(shown, search.higher, log)

    figure, (axes,) = style.figure(9, 4.6)
    last = max(len(curves[trial.trial]) for trial in drawn)
    axes.set_xlim(1 - 0.01 * last, last + 0.01 * last)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("epoch")
    quantity(axes.yaxis, search.objective, limits, log)
    order = {"completed": 3, "running": 2, "stopped": 1}
    alpha = float(np.clip(12 / math.sqrt(len(drawn)) / 4, 0.22, 0.8))
    for trial in drawn:
        if trial is search.best:
            continue
        background = trial.status != "completed"
        _line(
            axes,
            curves[trial.trial],
            limits,
            search.higher,
            color=COLOUR.get(trial.status, COLOUR["others"]),
            alpha=alpha * (0.75 if background else 1),
            linewidth=0.8 if background else 1.1,
            zorder=order.get(trial.status, 1),
            end=ENDS.get(trial.status),
        )
    if search.best is not None and search.best in drawn:
        _best(axes, search.best, search.higher, curves[search.best.trial], limits)
    counts = {s: sum(t.status == s for t in drawn) for s in search.counts}
    lines = [
        (f"{status} ({n})", COLOUR.get(status, COLOUR["others"]), ENDS.get(status), "-")
        for status, n in counts.items()
        if n
    ]
    style.key(axes, [(text, c, marker or "", line) for text, c, marker, line in lines])
    return figure


def _line(
    axes: Axes,
    values: np.ndarray,
    limits: tuple[float, float],
    higher: bool,
    end: str | None,
    zorder: float,
    color: str,
    alpha: float,
    linewidth: float,
) -> None:
    epochs = np.arange(1, len(values) + 1)
    marker = "o" if len(values) == 1 and end is None else ""
    axes.plot(
        epochs,
        values,
        linestyle="-",
        marker=marker,
        markersize=3,
        color=color,
        alpha=alpha,
        linewidth=linewidth,
        zorder=zorder,
    )
    if end is None:
        return
    finite = np.flatnonzero(np.isfinite(values))
    # A trial without finite values ends at the bad edge of the axis.
    bad = limits[0] if higher else limits[1]
    epoch, value = (finite[-1] + 1, values[finite[-1]]) if len(finite) else (1, bad)
    axes.plot(
        [epoch],
        [np.clip(value, *limits)],
        end,
        markersize=6 if end == "X" else 4,
        markeredgewidth=0,
        color=color,
        alpha=min(1, 2.5 * alpha),
        zorder=zorder + 0.5,
        clip_on=False,
    )


def _best(
    axes: Axes,
    best: Trial,
    higher: bool,
    values: np.ndarray,
    limits: tuple[float, float],
) -> None:
    last = len(values)
    ink: dict[str, Any] = {"color": COLOUR["ink"], "zorder": 5}
    axes.plot(np.arange(1, last + 1), values, linewidth=2.2, **ink)
    pick = np.nanargmax if higher else np.nanargmin
    if not np.isfinite(values).any():
        return
    epoch = best.best_epoch or int(pick(values)) + 1
    if not 1 <= epoch <= last or not np.isfinite(values[epoch - 1]):
        epoch = int(pick(values)) + 1
    value = values[epoch - 1]
    axes.plot([epoch], [value], "o", markersize=6, clip_on=False, **ink)
    label = f"best: trial {best.trial}\n{score(best.score)}, epoch {epoch}"
    # Next to the axes, where there are no curves.
    axes.annotate(
        label,
        (epoch, np.clip(value, *limits)),
        (1.015, np.clip(value, *limits)),
        textcoords=axes.get_yaxis_transform(),
        va="center",
        fontsize=9,
        fontweight="bold",
        color=COLOUR["ink"],
        annotation_clip=False,
        arrowprops={
            "arrowstyle": "-",
            "color": COLOUR["ink"],
            "linewidth": 0.6,
            "linestyle": ":",
            "shrinkB": 4,
        },
    )
