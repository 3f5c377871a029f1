"""The panels of a diagnosis: what each shows, and of which layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import (
    FuncFormatter,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
)

from keras_rnnx._pages import numbers
from keras_rnnx._pages.axes import plain, quantity
from keras_rnnx._pages.style import COLOUR
from keras_rnnx.diagnosis._gradients import REACH
from keras_rnnx.diagnosis._memory import FORGOTTEN
from keras_rnnx.diagnosis.report import LayerReport, Report

# Layers that are drawn: more can't be told apart.
MOST = 8
# Of an axis of norms: what is smaller than so much of the largest is below it.
DECADES = 12
NAME = 18
# Sizes of fonts: a figure is readable on a phone, where an inch is about 70 pixels.
SIZE = 9
STYLE = {"font.size": 10, "axes.titlesize": 10}
SERIES = ("series-1", "series-2", "series-3", "series-4", "series-5", "series-6")
INPUTS = {"weights": "weights", "gradients": "gradients (size)", "states": "states"}


class Look(NamedTuple):
    """How a layer is drawn: in the same way in all panels."""

    name: str
    colour: str
    line: str


class Panel(NamedTuple):
    """A panel with what it shows.

    Attributes:
        name: for files and links.
        title: above it.
        caption: how to read it.
        height: in inches, at a width of `WIDTH`.
        draw: draws it into a figure.
    """

    name: str
    title: str
    caption: str
    height: float
    draw: Callable[[FigureBase], None]


WIDTH = 5.2


def panels(report: Report) -> list[Panel]:
    """The panels for which the report has data."""
    layers = drawn(report)
    looks = {layer.name: look for layer, look in zip(layers, _looks(layers))}
    made = (
        _curves(report),
        _gradients(layers, looks),
        _memory(layers, looks),
        _spectrum(layers, looks),
        _kernels(layers, looks),
        _gates(layers),
        _times(layers, looks),
        _distributions(layers, looks),
    )
    return [panel for panel in made if panel is not None]


def drawn(report: Report) -> list[LayerReport]:
    """The layers that are drawn: all, or those with findings and the first others."""
    layers = list(report.layers.values())
    if len(layers) <= MOST:
        return layers
    found = [finding.layer for finding in report.findings]
    order = sorted(layers, key=lambda layer: layer.name not in found)
    chosen = {layer.name for layer in order[:MOST]}
    return [layer for layer in layers if layer.name in chosen]


def _looks(layers: Sequence[LayerReport]) -> list[Look]:
    return [
        Look(
            _short(layer.name),
            COLOUR[SERIES[number % len(SERIES)]],
            "-" if number < len(SERIES) else "--",
        )
        for number, layer in enumerate(layers)
    ]


def _short(name: str) -> str:
    """The end of a name: layers of one wrapper begin with the same one."""
    return name if len(name) <= NAME else f"…{name[1 - NAME :]}"


# --- lines by step ---


class _Line(NamedTuple):
    """A line of a layer, with a mark at one of its steps."""

    look: Look
    values: np.ndarray
    mark: int | None
    second: np.ndarray | None = None


def _gradients(layers: Sequence[LayerReport], looks: dict[str, Look]) -> Panel | None:
    lines = [
        _Line(looks[r.name], r.gradients.norms, r.gradients.horizon, r.gradients.whole)
        for r in layers
        if r.gradients is not None and _positive(r.gradients.norms).any()
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


def _memory(layers: Sequence[LayerReport], looks: dict[str, Look]) -> Panel | None:
    lines = [
        _Line(looks[r.name], r.memory.decay, r.memory.forgotten)
        for r in layers
        if r.memory is not None and _positive(r.memory.decay).any()
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
    lines: list[_Line],
    start: int,
) -> Panel | None:
    if not lines:
        return None

    def draw(figure: FigureBase) -> None:
        axes = figure.subplots()
        shown = [line.values for line in lines]
        shown += [line.second for line in lines if line.second is not None]
        positive = np.concatenate([v[_positive(v)] for v in shown])
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
            _named_ends(axes, lines, start)

    return Panel(name, title, caption, 3.1, draw)


class _Mark(NamedTuple):
    """A mark on a line, with the number of its step."""

    step: int
    height: float
    colour: str


def _draw_line(axes: Axes, line: _Line, start: int, low: float) -> _Mark | None:
    look, values = line.look, np.where(_positive(line.values), line.values, np.nan)
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
        second = np.where(_positive(line.second), line.second, np.nan)
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


def _named_ends(axes: Axes, lines: list[_Line], start: int) -> None:
    """Names right of the axes, each with a thin line to the end of its own."""
    ends = []
    transform = axes.transData + axes.transAxes.inverted()
    for line in lines:
        at = np.flatnonzero(_positive(line.values))[-1]
        point = (float(start + at), float(line.values[at]))
        height = float(np.clip(transform.transform(point)[1], 0, 1))
        ends.append((height, point, line.look))
    ends.sort(key=lambda end: end[0])
    placed = spread([height for height, _, _ in ends], 0.075)
    for height, (own, (step, _), look) in zip(placed, ends):
        inside = transform.transform((step, 1.0))[0]
        axes.annotate(
            look.name,
            (inside, own),
            (1.04, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            color=look.colour,
            fontsize=SIZE,
            parse_math=False,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": look.colour,
                "linewidth": 0.6,
                "shrinkA": 1,
                "shrinkB": 2,
            },
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


def _positive(values: Any) -> np.ndarray:
    """Which values a logarithmic axis can show."""
    array = np.asarray(values, float)
    return np.asarray(np.isfinite(array) & (array > 0) & (array < 1e100))


# --- dynamics ---


def _spectrum(layers: Sequence[LayerReport], looks: dict[str, Look]) -> Panel | None:
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
            lines = [_Line(look, values, None) for look, values in found]
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


def _named_values(axes: Axes, lines: list[_Line], limits: tuple[float, float]) -> None:
    """Names right of lines on a linear axis."""
    low, high = limits
    ends = sorted(
        (float(np.clip(line.values[-1], low, high)), len(line.values), line.look)
        for line in lines
    )
    placed = spread([(end - low) / (high - low) for end, _, _ in ends], 0.075)
    left, right = axes.get_xlim()
    for height, (end, rank, look) in zip(placed, ends):
        axes.annotate(
            look.name,
            ((rank - left) / (right - left), (end - low) / (high - low)),
            (1.04, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            color=look.colour,
            fontsize=SIZE,
            parse_math=False,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": look.colour,
                "linewidth": 0.6,
                "shrinkA": 1,
                "shrinkB": 3,
            },
        )


def _kernels(layers: Sequence[LayerReport], looks: dict[str, Look]) -> Panel | None:
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
        _emphasized(axes, [look.colour for look, kernels in found for _ in kernels])
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


def _emphasized(axes: Axes, colours: Sequence[str]) -> None:
    """Labels of rows in the colours of their layers, without lines across."""
    axes.tick_params(left=False)
    axes.grid(axis="y", visible=False)
    for label, colour in zip(axes.get_yticklabels(), colours):
        label.set_color(colour)


# --- states ---


def _gates(layers: Sequence[LayerReport]) -> Panel | None:
    found = [r for r in layers if r.states is not None and r.states.gates]
    if not found:
        return None
    gates = list(dict.fromkeys(g for r in found if r.states for g in r.states.gates))
    colours = {gate: COLOUR[SERIES[k % len(SERIES)]] for k, gate in enumerate(gates)}
    columns = min(2, len(found))
    lines = math.ceil(len(found) / columns)

    def draw(figure: FigureBase) -> None:
        grid = figure.subplots(lines, columns, squeeze=False)
        every: list[Axes] = grid.ravel().tolist()
        for number, axes in enumerate(every):
            if number >= len(found):
                axes.set_axis_off()
                continue
            alone = number + columns >= len(found)
            _draw_gates(axes, found[number], colours, alone, number % columns == 0)

    units = any(r.states and r.states.gates_by_unit for r in found)
    return Panel(
        "gates",
        "Saturation of the gates",
        ("A point is a unit" if units else "A point is a gate")
        + ": the share of its values above 0.95 (open) and below 0.05 (shut). At the "
        "diagonal the gate is always one of them and decides nothing; at 0 it is never "
        "saturated." + (" A ring is the mean of its gate." if units else ""),
        2.2 * lines + 0.35 if columns > 1 else 3.2,
        draw,
    )


def _draw_gates(
    axes: Axes, layer: LayerReport, colours: dict[str, str], below: bool, left: bool
) -> None:
    assert layer.states is not None
    axes.plot([0, 1], [1, 0], linewidth=1, color=COLOUR["faint"], zorder=1)
    names = []
    for gate, share in layer.states.gates.items():
        points = layer.states.gates_by_unit.get(gate)
        if points is not None:
            shut, opened = points
            axes.scatter(
                opened,
                shut,
                s=16,
                alpha=0.55,
                linewidths=0,
                color=colours[gate],
                clip_on=False,
                zorder=3,
            )
            axes.plot(
                share.open,
                share.shut,
                "o",
                markersize=9,
                markerfacecolor="none",
                markeredgecolor=colours[gate],
                clip_on=False,
                zorder=4,
            )
        else:
            axes.plot(share.open, share.shut, "o", color=colours[gate], zorder=3)
        names.append((share.open, share.shut, gate))
    _named_gates(axes, names, colours)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.set_ticks([0, 0.5, 1])
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    axes.set_title(_short(layer.name), parse_math=False)
    if below:
        axes.set_xlabel("open")
    if left:
        axes.set_ylabel("shut")


def _named_gates(
    axes: Axes, names: list[tuple[float, float, str]], colours: dict[str, str]
) -> None:
    """The letter of each gate at its mean, moved where another one is."""
    placed: list[tuple[float, float]] = []
    for x, y, gate in sorted(names):
        at = x + 0.07, y + 0.07
        for _ in range(12):
            if all(abs(at[0] - a) > 0.09 or abs(at[1] - b) > 0.09 for a, b in placed):
                break
            at = at[0] + 0.1, at[1]
        placed.append(at)
        axes.annotate(
            gate,
            (x, y),
            at,
            ha="center",
            va="center",
            color=colours[gate],
            fontsize=11,
            fontweight="bold",
            annotation_clip=False,
            parse_math=False,
            zorder=5,
        )


# --- cost ---


def _times(layers: Sequence[LayerReport], looks: dict[str, Look]) -> Panel | None:
    found = [
        (looks[r.name], r.cost)
        for r in layers
        if r.cost is not None and r.cost.seconds is not None
    ]
    if not found:
        return None

    def draw(figure: FigureBase) -> None:
        axes = figure.subplots()
        times = [1e3 * (cost.seconds or 0.0) for _, cost in found]
        colours = [look.colour for look, _ in found]
        axes.barh(range(len(found)), times, 0.6, color=colours)
        axes.set_yticks(
            range(len(found)), [look.name for look, _ in found], parse_math=False
        )
        _emphasized(axes, colours)
        quantity(axes.xaxis, "milliseconds", (0.0, 1.05 * max(times) or 1.0), False)
        axes.set_ylim(len(found) - 0.5, -0.5)
        for row, (_, cost) in enumerate(found):
            share = "" if cost.share is None else f"{min(cost.share, 1):.0%}, "
            axes.annotate(
                f"{share}{cost.engine}",
                (1.02, row),
                xycoords=axes.get_yaxis_transform(),
                va="center",
                fontsize=SIZE,
                annotation_clip=False,
            )

    return Panel(
        "times",
        "Time by layer",
        "The time of a forward pass of the measured batch through each layer alone, as "
        "a share of the model's, and the engine that runs the layer.",
        1.0 + 0.34 * len(found),
        draw,
    )


# --- training ---


def _distributions(
    layers: Sequence[LayerReport], looks: dict[str, Look]
) -> Panel | None:
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


def _curves(report: Report) -> Panel | None:
    curves = getattr(report, "curves", None)
    if curves is None:
        return None
    lines = {"training": curves.loss, "validation": curves.validation}
    lines = {name: np.asarray(v, float) for name, v in lines.items() if v is not None}
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
                drawn.append(_Line(look, values, None))
        at = lines.get("validation", lines["training"])[curves.best - 1]
        axes.plot([curves.best], [at], "o", color=drawn[-1].look.colour, zorder=4)
        if len(drawn) > 1:
            _named_ends(axes, drawn, 1)

    return Panel(
        "curves",
        "The loss by epoch",
        "The loss on the training data and on the validation data. A dot marks the "
        "best epoch.",
        3.1,
        draw,
    )
