"""Panels of exponents and recurrent matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import (
    MaxNLocator,
)

from keras_rnnx._pages import numbers
from keras_rnnx._pages.axes import quantity, spread
from keras_rnnx._pages.style import COLOUR
from keras_rnnx.diagnosis._panels.by_step import Line
from keras_rnnx.diagnosis._panels.panel import (
    Look,
    Panel,
    name_beside,
)
from keras_rnnx.diagnosis.measured import LayerReport


def spectrum(layers: Sequence[LayerReport], looks: dict[str, Look]) -> Panel | None:
    """The Lyapunov exponents."""
    found = [
        (looks[r.name], np.asarray(r.dynamics.exponents, float))
        for r in layers
        if r.dynamics is not None and np.isfinite(r.dynamics.exponents).any()
    ]
    if not found:
        return None

    def draw(figure: FigureBase) -> None:
        axes = figure.subplots()
        shown = np.concatenate([values for _, values in found])
        # Those of directions that are lost in one step are far below the others.
        limits = numbers.robust([*shown[np.isfinite(shown)], 0.0], True, False)
        quantity(axes.yaxis, "Lyapunov exponent", limits, False)
        axes.axhline(0, linewidth=1.2, linestyle="--", color=COLOUR["muted"])
        for look, values in found:
            ranks = np.arange(1, len(values) + 1)
            axes.plot(
                ranks,
                values,
                linestyle=look.line,
                color=look.colour,
                marker="o",
                markersize=3.5,
                linewidth=1.2,
            )
        most = max(len(values) for _, values in found)
        axes.set_xlim(0.5, most + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("number of the exponent, the largest first")
        if len(found) > 1:
            lines = [Line(look, values, None) for look, values in found]
            _named_values(axes, lines, limits)

    return Panel(
        "spectrum",
        "Lyapunov spectrum",
        "A small change of the state grows by exp of the first exponent in a step. "
        "Near the dashed line changes are kept, well below it they fade, well above it "
        "they grow without bound.",
        3.1,
        draw,
    )


def _named_values(axes: Axes, lines: list[Line], limits: tuple[float, float]) -> None:
    """Names right of lines on a linear axis."""
    low, high = limits
    ends = sorted(
        (float(np.clip(line.values[-1], low, high)), len(line.values), line.look)
        for line in lines
    )
    placed = spread([(end - low) / (high - low) for end, _, _ in ends], 0.075)
    left, right = axes.get_xlim()
    for height, (end, rank, look) in zip(placed, ends):
        point = (rank - left) / (right - left), (end - low) / (high - low)
        name_beside(axes, look, point, height)


def kernels(layers: Sequence[LayerReport], looks: dict[str, Look]) -> Panel | None:
    """Radii and norms of the recurrent matrices."""
    found = [
        (looks[r.name], r.dynamics.kernels)
        for r in layers
        if r.dynamics is not None and r.dynamics.kernels
    ]
    if not found:
        return None
    rows = sum(len(kernels) for _, kernels in found) + 0.8 * (len(found) - 1)

    def draw(figure: FigureBase) -> None:
        axes = figure.subplots()
        shown = [
            value
            for _, kernels in found
            for kernel in kernels.values()
            for value in kernel
            if value is not None and math.isfinite(value)
        ]
        top = 1.08 * max([1.0, *shown])
        quantity(axes.xaxis, "spectral radius and norm", (0.0, top), False)
        axes.axvline(1, linewidth=1.2, linestyle="--", color=COLOUR["muted"])
        at, places, names = 0.0, [], []
        for look, kernels in found:
            for number, (gate, kernel) in enumerate(kernels.items()):
                _draw_kernel(axes, at, look.colour, kernel.radius, kernel.norm)
                places.append(at)
                first = number == 0 and len(found) > 1
                names.append(f"{look.name}  {gate}" if first else gate)
                at += 1.0
            at += 0.8
        axes.set_yticks(places, names, parse_math=False)
        emphasized(axes, [look.colour for look, kernels in found for _ in kernels])
        axes.set_ylim(at - 1.2, -0.6)

    return Panel(
        "kernels",
        "Recurrent matrices by gate",
        "A dot is the spectral radius of the recurrent matrix of a gate, a bar its "
        "2-norm: the most by which it stretches a state. The dashed line is at 1.",
        1.0 + 0.22 * rows,
        draw,
    )


def _draw_kernel(
    axes: Axes, at: float, colour: str, radius: float | None, norm: float
) -> None:
    axes.plot([0, norm], [at, at], color=colour, linewidth=1.2, alpha=0.6)
    axes.plot([norm], [at], "|", color=colour, markersize=8, markeredgewidth=1.6)
    if radius is not None:
        axes.plot([radius], [at], "o", color=colour, markersize=6, zorder=4)


def emphasized(axes: Axes, colours: Sequence[str]) -> None:
    """Labels of rows in the colours of their layers, without lines across."""
    axes.tick_params(left=False)
    axes.grid(axis="y", visible=False)
    for label, colour in zip(axes.get_yticklabels(), colours):
        label.set_color(colour)
