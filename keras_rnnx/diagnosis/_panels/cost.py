"""The panel of times."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import FigureBase

from keras_rnnx._pages.axes import quantity
from keras_rnnx.diagnosis._panels.dynamics import emphasized
from keras_rnnx.diagnosis._panels.panel import (
    SIZE,
    Look,
    Panel,
)
from keras_rnnx.diagnosis.measured import LayerReport


def times(layers: Sequence[LayerReport], looks: dict[str, Look]) -> Panel | None:
    """The time of each layer."""
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
        emphasized(axes, colours)
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
