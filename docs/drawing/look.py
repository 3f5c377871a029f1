"""How figures look, and what they share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot, ticker

from keras_rnnx._pages.axes import spread
from keras_rnnx._pages.style import GREY

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
IMAGES = Path(__file__).parents[1] / "images"
INK = GREY
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PINK, SKY = "#CC79A7", "#56B4E9"
STYLE = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "font.size": 10,
    "svg.fonttype": "none",
    # The same results give the same file.
    "svg.hashsalt": "keras_rnnx",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial"],
}


def read(name: str) -> dict[str, Any]:
    """A result."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def save(figure, name: str) -> None:
    """Writes a figure as SVG."""
    figure.savefig(
        IMAGES / f"{name}.svg",
        transparent=True,
        bbox_inches="tight",
        metadata={"Date": None, "Creator": None},
    )
    pyplot.close(figure)


def by_setting(result: dict[str, Any]) -> dict[str, list[list[float]]]:
    """The curves of all seeds, by setting."""
    curves: dict[str, list[list[float]]] = {}
    for run in result["runs"]:
        values = [np.nan if v is None else v for v in run["curve"]]
        curves.setdefault(run["setting"], []).append(values)
    return curves


def band(
    axes,
    x: np.ndarray,
    curves: list[list[float]],
    color: str,
    logarithmic: bool,
    dashed: bool = False,
) -> float:
    """The mean over seeds as a line, and from the least to the greatest as a band.

    Returns:
        Where the line ends.
    """
    length = min(map(len, curves))
    values = np.array([curve[:length] for curve in curves], float)
    # On a logarithmic axis the mean of the logarithms is in the middle.
    mean = (
        np.exp(np.nanmean(np.log(values), 0)) if logarithmic else np.nanmean(values, 0)
    )
    x = x[:length]
    axes.fill_between(
        x,
        np.nanmin(values, 0),
        np.nanmax(values, 0),
        color=color,
        alpha=0.18,
        linewidth=0,
    )
    axes.plot(x, mean, color=color, linewidth=2, linestyle="--" if dashed else "-")
    return float(mean[-1])


def name_lines(axes, ends: dict[str, tuple[float, str]], gap: float = 0.062) -> None:
    """Names right of the ends of lines, moved until none covers another.

    Args:
        axes: the axes, with its limits and scales set.
        ends: by name the height of the end, and the colour.
        gap: the least distance of two names, as a share of the height.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    x = axes.get_xlim()[1]
    heights = {
        name: to_axes.transform((x, height))[1] for name, (height, _) in ends.items()
    }
    names = sorted(heights, key=heights.get)
    placed = spread([heights[name] for name in names], gap)
    for name, height in zip(names, placed):
        axes.text(
            1.02,
            height,
            name,
            color=ends[name][1],
            transform=axes.transAxes,
            va="center",
            fontsize=9,
        )


def whole(axis) -> None:
    """Ticks at whole numbers."""
    axis.set_major_locator(ticker.MaxNLocator(integer=True))


def chance(axes, value: float, text: str) -> None:
    """A line where a trivial answer is."""
    axes.axhline(value, color=INK, linewidth=1, linestyle=":")
    axes.text(
        0.01,
        value,
        text,
        transform=axes.get_yaxis_transform(),
        va="bottom",
        fontsize=8,
    )
