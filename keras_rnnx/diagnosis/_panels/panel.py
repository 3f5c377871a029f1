"""What all panels have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

# Layers that are drawn: more can't be told apart.
MOST = 8
# Of an axis of norms: what is smaller than so much of the largest is below it.
DECADES = 12
# Characters of the name of a layer.
NAME = 18
# Sizes of fonts: a figure is readable on a phone, where an inch is about 70 pixels.
SIZE = 9
STYLE = {"font.size": 10, "axes.titlesize": 10}
SERIES = ("series-1", "series-2", "series-3", "series-4", "series-5", "series-6")
# Of a panel, in inches.
WIDTH = 5.2


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


def short(name: str) -> str:
    """The end of a name: layers of one wrapper begin with the same one."""
    return name if len(name) <= NAME else f"…{name[1 - NAME :]}"


def name_beside(
    axes: Axes, look: Look, point: tuple[float, float], height: float
) -> None:
    """Writes a name right of axes, with a thin line to the end of its own.

    Args:
        axes: the axes.
        look: of the layer.
        point: the end of its line, as shares of the axes.
        height: of the name, as such a share.
    """
    axes.annotate(
        look.name,
        point,
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
