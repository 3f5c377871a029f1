"""One figure with all panels of a report, for notebooks and files."""

from __future__ import annotations

import io
import os

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keras_rnnx._pages import style
from keras_rnnx.diagnosis import _panels
from keras_rnnx.diagnosis._panels import WIDTH, Panel
from keras_rnnx.diagnosis.report import Report

COLUMNS = 2


class Picture(Figure):
    """A figure that a notebook shows, whatever backend Matplotlib has there."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=100)
        return file.getvalue()


def figure(report: Report, path: str | os.PathLike[str] | None) -> Figure:
    """Draws all panels, in two columns.

    Args:
        report: the report.
        path: where the figure is written, or None.

    Raises:
        ValueError: if there is nothing to draw.
    """
    panels = _panels.panels(report)
    if not panels:
        raise ValueError(
            f"The report of {report.model!r} has no measures that can be drawn."
        )
    with style.styled({**_panels.STYLE, **style.ON_ANY_GROUND}):
        made = _drawn(panels)
        if path is not None:
            made.savefig(path)
    return made


def _drawn(panels: list[Panel]) -> Figure:
    columns = _columns(panels)
    tallest = max(sum(panel.height + 0.3 for panel in column) for column in columns)
    made = Picture(figsize=(WIDTH * len(columns), tallest), layout="constrained")
    FigureCanvasAgg(made)
    parts = made.subfigures(1, len(columns), squeeze=False)[0]
    for part, column in zip(parts, columns):
        heights = [panel.height + 0.3 for panel in column]
        missing = tallest - sum(heights)
        # What is left over is at the bottom of the column.
        ratios = [*heights, missing] if missing > 0.05 else heights
        rows = part.subfigures(len(ratios), 1, height_ratios=ratios, squeeze=False)
        for row, panel in zip(rows[:, 0], column):
            row.suptitle(panel.title, x=0.02, ha="left", fontsize=11)
            panel.draw(row)
    return made


def _columns(panels: list[Panel]) -> list[list[Panel]]:
    """Panels in columns of about the same height, in their order down each."""
    count = min(COLUMNS, len(panels))
    columns: list[list[Panel]] = [[] for _ in range(count)]
    heights = [0.0] * count
    for panel in panels:
        shortest = heights.index(min(heights))
        columns[shortest].append(panel)
        heights[shortest] += panel.height + 0.3
    return columns
