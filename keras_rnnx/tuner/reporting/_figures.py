"""Draws all figures of a report, as SVG for the page and as PNG."""

from __future__ import annotations

from typing import NamedTuple

from keras_rnnx._pages import style
from keras_rnnx.tuner.reporting._bars import importance
from keras_rnnx.tuner.reporting._curves import learning_curves
from keras_rnnx.tuner.reporting._parallel import parallel_coordinates
from keras_rnnx.tuner.reporting._quality import PARAMETERS, cells, quality, time_cost
from keras_rnnx.tuner.reporting._search import Search
from keras_rnnx.tuner.reporting._study import Importances, importances
from keras_rnnx.tuner.reporting._workers import workers

NAMES = (
    "learning_curves",
    "parallel_coordinates",
    "importance",
    "quality_vs_parameters",
    "quality_vs_seconds",
    "cells",
    "workers",
)


class Drawn(NamedTuple):
    """The figures of a report by name, without those that do not apply.

    Attributes:
        svg: text for the page.
        png: bytes of a file.
        why: for figures without data, a sentence that says why.
        importances: the importances of the hyperparameters.
    """

    svg: dict[str, str]
    png: dict[str, bytes]
    why: dict[str, str]
    importances: Importances | str


def draw(search: Search) -> Drawn:
    """Draws every figure that the search has data for."""
    computed = importances(search)
    drawn = Drawn({}, {}, {}, computed)
    order = [] if isinstance(computed, str) else [row.name for row in computed.rows]
    functions = (
        lambda: learning_curves(search),
        lambda: parallel_coordinates(search, order),
        lambda: importance(computed),
        lambda: quality(search, PARAMETERS),
        lambda: quality(search, time_cost(search)),
        lambda: cells(search),
        lambda: workers(search),
    )
    for name, function in zip(NAMES, functions):
        with style.styled():
            figure = function()
            if isinstance(figure, str):
                drawn.why[name] = figure
            elif figure is not None:
                drawn.svg[name] = style.svg(figure, name.replace("_", "-"))
                drawn.png[name] = style.png(figure)
    return drawn
