"""Panels of weights, gradients and states, and of losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import (
    FuncFormatter,
    MaxNLocator,
    NullFormatter,
)

from keras_rnnx._pages import numbers
from keras_rnnx._pages.axes import plain, quantity
from keras_rnnx._pages.style import COLOUR
from keras_rnnx.diagnosis._panels.by_step import Line, named_ends
from keras_rnnx.diagnosis._panels.panel import (
    SERIES,
    SIZE,
    Look,
    Panel,
)
from keras_rnnx.diagnosis.measured import LayerReport
from keras_rnnx.diagnosis.report import Report

INPUTS = {"weights": "weights", "gradients": "gradients (size)", "states": "states"}


def distributions(
    layers: Sequence[LayerReport], looks: dict[str, Look]
) -> Panel | None:
    """How often weights, gradients and states have which value."""
    found = {
        r.name: {
            kind: histogram
            for kind in INPUTS
            if (histogram := getattr(r.distributions, kind, None)) is not None
        }
        for r in layers
    }
    found = {name: each for name, each in found.items() if each}
    kinds = [kind for kind in INPUTS if any(kind in each for each in found.values())]
    if not kinds:
        return None

    def draw(figure: FigureBase) -> None:
        grid = figure.subplots(len(found), len(kinds), squeeze=False)
        for row, (name, each) in zip(grid, found.items()):
            for axes, kind in zip(row, kinds):
                axes.set_yticks([])
                axes.spines["left"].set_visible(False)
                axes.grid(visible=False)
                if kind in each:
                    _draw_histogram(axes, each[kind], looks[name].colour, kind)
                else:
                    axes.spines["bottom"].set_visible(False)
                    axes.set_xticks([])
            if len(found) > 1:
                row[0].set_ylabel(
                    looks[name].name,
                    rotation=0,
                    ha="right",
                    va="center",
                    color=looks[name].colour,
                    parse_math=False,
                )
        for axes, kind in zip(grid[0], kinds):
            axes.set_title(INPUTS[kind])

    return Panel(
        "distributions",
        "Weights, gradients and states",
        "How often each value occurs: of the weights of the matrices, of the sizes of "
        "their gradients (on a logarithmic axis, zeros at its left end), and of the "
        "outputs.",
        0.6 + 0.95 * len(found),
        draw,
    )


def _draw_histogram(axes: Axes, histogram: Any, colour: str, kind: str) -> None:
    counts, edges = histogram.counts, histogram.edges
    axes.stairs(counts, edges, fill=True, color=colour, alpha=0.35, linewidth=0)
    axes.stairs(counts, edges, color=colour, linewidth=1.1)
    axes.set_ylim(0, 1.08 * max(1, counts.max()))
    if kind == "gradients":
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        low, high = math.ceil(math.log10(edges[0])), math.floor(math.log10(edges[-1]))
        axes.set_xticks([10.0**n for n in (low, (low + high) // 2, high)])
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"1e{round(math.log10(value))}")
        )
    else:
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axes.tick_params(labelsize=SIZE)


def curves(report: Report) -> Panel | None:
    """The losses by epoch."""
    curves = report.curves
    if curves is None:
        return None
    losses = {"training": curves.loss, "validation": curves.validation}
    lines = {name: np.asarray(v, float) for name, v in losses.items() if v is not None}
    shown = np.concatenate(list(lines.values()))
    shown = shown[np.isfinite(shown)]
    if not len(shown):
        return None

    def draw(figure: FigureBase) -> None:
        axes = figure.subplots()
        log = numbers.spans(shown)
        limits = numbers.robust(shown, False, log)
        quantity(axes.yaxis, "loss", limits, log)
        most = max(map(len, lines.values()))
        axes.set_xlim(1 - 0.02 * most, most + 0.02 * most)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("epoch")
        drawn = []
        for number, (name, values) in enumerate(lines.items()):
            look = Look(name, COLOUR[SERIES[number]], "-")
            epochs = np.arange(1, len(values) + 1)
            marker = "o" if len(values) == 1 else ""
            axes.plot(epochs, values, color=look.colour, marker=marker, linewidth=1.8)
            if np.isfinite(values).any():
                drawn.append(Line(look, values, None))
        at = lines.get("validation", lines["training"])[curves.best - 1]
        axes.plot([curves.best], [at], "o", color=drawn[-1].look.colour, zorder=4)
        if len(drawn) > 1:
            named_ends(axes, drawn, 1)

    return Panel(
        "curves",
        "The loss by epoch",
        "The loss on the training data and on the validation data. A dot marks the "
        "best epoch.",
        3.1,
        draw,
    )
