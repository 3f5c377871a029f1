"""Panels with a line for each layer over steps: gradients, and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import (
    MaxNLocator,
)

from keras_rnnx._pages.axes import quantity, spread
from keras_rnnx.diagnosis._measures.gradients import REACH
from keras_rnnx.diagnosis._measures.memory import FORGOTTEN
from keras_rnnx.diagnosis._panels.panel import (
    DECADES,
    SIZE,
    Look,
    Panel,
    name_beside,
)
from keras_rnnx.diagnosis.measured import LayerReport


class Line(NamedTuple):
    """A line of a layer, with a mark at one of its steps."""

    look: Look
    values: np.ndarray
    mark: int | None
    second: np.ndarray | None = None


def gradients(layers: Sequence[LayerReport], looks: dict[str, Look]) -> Panel | None:
    """Norms of the gradients by steps back."""
    lines = [
        Line(looks[r.name], r.gradients.norms, r.gradients.horizon, r.gradients.whole)
        for r in layers
        if r.gradients is not None and drawable(r.gradients.norms).any()
    ]
    caption = (
        f"The norm of the gradient of the loss for the states, by the number of steps "
        f"back. A dot marks the horizon: behind it less than {REACH:g} of the largest "
        f"norm is left."
    )
    if any(line.second is not None for line in lines):
        caption += " Solid: the loss at the last step. Dotted: the loss at all steps."
    return _by_step(
        "gradients",
        "How far the gradient reaches",
        caption,
        ("steps back", "norm of the gradient"),
        lines,
        start=0,
    )


def memory(layers: Sequence[LayerReport], looks: dict[str, Look]) -> Panel | None:
    """What is left of a change, by steps."""
    lines = [
        Line(looks[r.name], r.memory.decay, r.memory.forgotten)
        for r in layers
        if r.memory is not None and drawable(r.memory.decay).any()
    ]
    caption = (
        f"What is left of a small change of the first state behind each step. A dot "
        f"marks where it is forgotten: less than {FORGOTTEN:g} is left."
    )
    return _by_step(
        "memory",
        "How long the state is remembered",
        caption,
        ("steps", "share of the change that is left"),
        lines,
        start=1,
    )


def _by_step(
    name: str,
    title: str,
    caption: str,
    labels: tuple[str, str],
    lines: list[Line],
    start: int,
) -> Panel | None:
    if not lines:
        return None

    def draw(figure: FigureBase) -> None:
        axes = figure.subplots()
        shown = [line.values for line in lines]
        shown += [line.second for line in lines if line.second is not None]
        positive = np.concatenate([v[drawable(v)] for v in shown])
        top = float(positive.max())
        low = max(float(positive.min()), 10.0**-DECADES * top)
        space = (top / low) ** 0.06 if top > low else 2.0
        quantity(axes.yaxis, labels[1], (low / space, top * space), True)
        last = start + max(map(len, shown)) - 1
        room = 0.02 * max(1, last - start)
        axes.set_xlim(start - room, last + room)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel(labels[0])
        marks = [_draw_line(axes, line, start, low) for line in lines]
        _number(axes, [mark for mark in marks if mark is not None])
        if len(lines) > 1:
            named_ends(axes, lines, start)

    return Panel(name, title, caption, 3.1, draw)


class _Mark(NamedTuple):
    """A mark on a line, with the number of its step."""

    step: int
    height: float
    colour: str


def _draw_line(axes: Axes, line: Line, start: int, low: float) -> _Mark | None:
    look, values = line.look, np.where(drawable(line.values), line.values, np.nan)
    steps = np.arange(start, start + len(values))
    marker = "o" if len(values) == 1 else ""
    axes.plot(
        steps,
        values,
        linestyle=look.line,
        color=look.colour,
        marker=marker,
        linewidth=1.8,
    )
    if line.second is not None:
        second = np.where(drawable(line.second), line.second, np.nan)
        axes.plot(steps[: len(second)], second, ":", color=look.colour, linewidth=1.4)
    if line.mark is None or not start <= line.mark < start + len(values):
        return None
    height = float(values[line.mark - start])
    # Below the axis, or 0: the mark stands on its edge.
    height = height if height >= low else low
    axes.plot([line.mark], [height], "o", color=look.colour, markersize=6, zorder=4)
    return _Mark(line.mark, height, look.colour)


# Where the number of a mark may be, in points from it.
OFFSETS = ((6, 6), (-17, -13), (6, 17), (-17, -24), (6, 28))
# About the size of axes, and of such a number, in points.
AXES, NUMBER = (270, 165), (16, 10)


def _number(axes: Axes, marks: list[_Mark]) -> None:
    """Writes the steps of marks beside them; one without room is left out."""
    transform = axes.transData + axes.transAxes.inverted()
    taken: list[tuple[float, float]] = []
    for mark in marks:
        x, y = transform.transform((mark.step, mark.height))
        for dx, dy in OFFSETS:
            at = x * AXES[0] + dx, y * AXES[1] + dy
            if all(
                abs(at[0] - a) > NUMBER[0] or abs(at[1] - b) > NUMBER[1]
                for a, b in taken
            ):
                break
        else:
            continue
        taken.append(at)
        axes.annotate(
            f"{mark.step}",
            (mark.step, mark.height),
            (dx, dy),
            textcoords="offset points",
            color=mark.colour,
            fontsize=SIZE,
            fontweight="bold",
            zorder=5,
        )


def named_ends(axes: Axes, lines: list[Line], start: int) -> None:
    """Names right of the axes, each with a thin line to the end of its own."""
    ends = []
    transform = axes.transData + axes.transAxes.inverted()
    for line in lines:
        at = np.flatnonzero(drawable(line.values))[-1]
        point = (float(start + at), float(line.values[at]))
        height = float(np.clip(transform.transform(point)[1], 0, 1))
        ends.append((height, point, line.look))
    ends.sort(key=lambda end: end[0])
    placed = spread([height for height, _, _ in ends], 0.075)
    for height, (own, (step, _), look) in zip(placed, ends):
        inside = float(transform.transform((step, 1.0))[0])
        name_beside(axes, look, (inside, own), height)


def drawable(values: Any) -> np.ndarray:
    """Which values a logarithmic axis can show."""
    array = np.asarray(values, float)
    return np.asarray(np.isfinite(array) & (array > 0) & (array < 1e100))
