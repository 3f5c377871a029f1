"""Axes with plain numbers, and labels that do not cover each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator
from matplotlib.transforms import Bbox

from keras_rnnx._pages.numbers import ticks

# Offsets of a label from its point, in points; the first free one is used.
PLACES = [(-6, 8), (0, 12), (6, 9), (7, 0), (-8, 0), (7, -8), (-7, -8), (0, -12)]


def plain(value: float) -> str:
    """The label of a tick, without an exponent if it is short."""
    if abs(value) >= 1e9 or 0 < abs(value) < 1e-4:
        return f"{value:.3g}"
    if abs(value) >= 1e6:
        return f"{value / 1e6:,.4g} M"
    return f"{value:,.0f}" if abs(value) >= 1e3 else f"{value:.6g}"


def quantity(
    axis: XAxis | YAxis, label: str, limits: tuple[float, float], log: bool
) -> None:
    """Sets an axis up for numbers between two limits."""
    name = axis.axis_name
    axis.axes.set(**{f"{name}scale": "log" if log else "linear", f"{name}lim": limits})
    axis.set_ticks(ticks(*limits, log))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.set_label_text(label, parse_math=False)


def labelled(
    axes: Axes, points: Sequence[tuple[float, float, str]], size: float, above: bool
) -> int:
    """Writes labels next to points, as many as there is room for.

    Args:
        axes: the axes; their limits and scales must not change any more.
        points: `(x, y, text)`, the most important first.
        size: of the font.
        above: whether to try places above a point first.

    Returns:
        The number of points with a label.
    """
    # A figure with an Agg canvas, as `style.figure` makes it.
    figure: Any = axes.figure
    renderer = figure.canvas.get_renderer()
    figure.draw_without_rendering()
    inside = axes.get_window_extent(renderer)
    # A label may not cover the mark of another point.
    marks = axes.transData.transform([(x, y) for x, y, _ in points])
    size_of_mark = 5 * figure.dpi / 72
    occupied = [Bbox.from_bounds(x, y, 0, 0).padded(size_of_mark) for x, y in marks]
    for x, y, text in points:
        for dx, dy in PLACES:
            dy = dy if above else -dy
            label = _annotation(axes, (x, y), text, dx, dy, size)
            box = label.get_window_extent(renderer)
            within = inside.x0 <= box.x0 and box.x1 <= inside.x1
            if within and not any(box.overlaps(other) for other in occupied):
                occupied.append(box)
                break
            label.remove()
    return len(occupied) - len(points)


def _annotation(
    axes: Axes, point: tuple[float, float], text: str, dx: float, dy: float, size: float
) -> Text:
    return axes.annotate(
        text,
        point,
        (dx, dy),
        textcoords="offset points",
        ha="left" if dx > 0 else "right" if dx < 0 else "center",
        va="center",
        fontsize=size,
        parse_math=False,
        zorder=6,
    )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Sorted heights, moved as little as it takes to have a gap between them."""
    placed = list(heights)
    for _ in range(200):
        moved = False
        for lower in range(len(placed) - 1):
            missing = gap - (placed[lower + 1] - placed[lower])
            if missing > 1e-6:
                placed[lower] -= missing / 2
                placed[lower + 1] += missing / 2
                moved = True
        if not moved:
            break
    return placed
