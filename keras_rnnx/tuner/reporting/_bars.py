"""The figure of importances."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from keras_rnnx._pages import style
from keras_rnnx._pages.numbers import shortened
from keras_rnnx._pages.style import COLOUR
from keras_rnnx.tuner.reporting._study import Importance, Importances

SHOWN = 15


def importance(importances: Importances | str) -> Figure | str:
    """A bar for each hyperparameter, and a mark for what chance alone reaches."""
    if isinstance(importances, str):
        return importances
    rows = importances.rows[:SHOWN]
    figure, (axes,) = style.figure(7, 1.2 + 0.34 * len(rows))
    places = range(len(rows))
    axes.barh(places, [row.share for row in rows], 0.6, color=COLOUR["completed"])
    axes.scatter(
        [row.chance for row in rows],
        places,
        s=90,
        marker="|",
        color=COLOUR["diverged"],
        linewidths=2,
        zorder=4,
    )
    axes.set_yticks(
        places,
        [_label(row, importances.trials) for row in rows],
        parse_math=False,
        color=COLOUR["ink"],
    )
    widest = max(max(row.share, row.chance) for row in rows)
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, 1.04 * widest))
    axes.set_xlabel("share of the importance")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.tick_params(left=False)
    axes.grid(axis="y", visible=False)
    for place, row in zip(places, rows):
        axes.annotate(
            f"{row.share:.0%}",
            (1.02, place),
            xycoords=axes.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
            annotation_clip=False,
        )
    style.key(
        axes,
        [
            ("importance", COLOUR["completed"], "s", ""),
            ("what chance alone reaches", COLOUR["diverged"], "|", ""),
        ],
    )
    return figure


def _label(row: Importance, trials: int) -> str:
    name = shortened(row.name, 30)
    return name if row.trials == trials else f"{name} ({row.trials} of {trials})"
