"""The panel of gates."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import (
    PercentFormatter,
)

from keras_rnnx._pages.style import COLOUR
from keras_rnnx.diagnosis._panels.panel import (
    SERIES,
    Panel,
    short,
)
from keras_rnnx.diagnosis.measured import LayerReport


def gates(layers: Sequence[LayerReport]) -> Panel | None:
    """The saturation of the gates."""
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
    axes.set_title(short(layer.name), parse_math=False)
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
