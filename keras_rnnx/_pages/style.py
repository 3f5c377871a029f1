"""The style of figures in pages, and their conversion to SVG and PNG.

A figure is drawn in the light colours of `PALETTE`. In the page each colour becomes a
CSS variable, so that a figure follows the reader's light or dark theme.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, cast

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

# Colours of the light and the dark theme. No two names share a light colour. Colours of
# data are by Okabe and Ito, some lighter on a dark ground; the scale is viridis. Those
# from "completed" to "running" are statuses of trials, "series" what is compared.
PALETTE = {
    "ink": ("#1c2733", "#e6eaf0"),
    "muted": ("#5d6b7a", "#9aa8b8"),
    "faint": ("#c9d1da", "#465160"),
    "grid": ("#e7ebef", "#2c3541"),
    "paper": ("#fefefe", "#171d25"),
    "accent": ("#0071b2", "#4eafe8"),
    "completed": ("#0072b2", "#4fb0e8"),
    "stopped": ("#e69f00", "#f0b429"),
    "diverged": ("#d55e00", "#ff8447"),
    "failed": ("#b0568a", "#e08cbb"),
    "refused": ("#808c99", "#8996a5"),
    "running": ("#009e73", "#2fc79b"),
    "series-1": ("#0073b3", "#50b1e9"),
    "series-2": ("#d65f01", "#ff8548"),
    "series-3": ("#019f74", "#30c89c"),
    "series-4": ("#b1578b", "#e18dbc"),
    "series-5": ("#e7a001", "#f1b52a"),
    "series-6": ("#57b5ea", "#9bd3f5"),
    "others": ("#818d9a", "#8a97a6"),
    # From the worst score to the best: the best stands out on either ground.
    "scale-0": ("#c8d64b", "#433e85"),
    "scale-1": ("#8fce5e", "#3a538b"),
    "scale-2": ("#52bf72", "#31678e"),
    "scale-3": ("#2aab80", "#277f8e"),
    "scale-4": ("#228d8d", "#1f988b"),
    "scale-5": ("#2e6d8e", "#35b779"),
    "scale-6": ("#3f4a8a", "#85d54a"),
    "scale-7": ("#440154", "#dde318"),
}
COLOUR = {name: light for name, (light, _) in PALETTE.items()}
LEVELS = 8
SERIES = 6
MARKERS = "osDPXp"
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": COLOUR["ink"],
    "axes.labelcolor": COLOUR["ink"],
    "axes.edgecolor": COLOUR["faint"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "grid.color": COLOUR["grid"],
    "grid.linewidth": 0.8,
    "xtick.color": COLOUR["faint"],
    "ytick.color": COLOUR["faint"],
    "xtick.labelcolor": COLOUR["muted"],
    "ytick.labelcolor": COLOUR["muted"],
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "figure.facecolor": COLOUR["paper"],
    "savefig.facecolor": COLOUR["paper"],
    "svg.fonttype": "none",
    "svg.hashsalt": "keras-rnnx",
}
# A grey, and what it is for, on any ground: readable on white and on black.
GREY = "#7a7a7a"
ON_ANY_GROUND = {
    "text.color": GREY,
    "axes.labelcolor": GREY,
    "axes.edgecolor": "#8a8a8a",
    "xtick.color": "#8a8a8a",
    "ytick.color": "#8a8a8a",
    "xtick.labelcolor": GREY,
    "ytick.labelcolor": GREY,
    "grid.color": GREY,
    "grid.alpha": 0.22,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


@contextlib.contextmanager
def styled(own: dict[str, Any] | None = None) -> Iterator[None]:
    """Applies the style of pages, and restores the user's style afterwards.

    Args:
        own: parameters of Matplotlib that differ. Default: none.
    """
    with (
        matplotlib.style.context(["default", STYLE, own or {}]),
        warnings.catch_warnings(),
    ):
        # A name may have characters that Matplotlib's font lacks. The reader's browser
        # has them.
        warnings.filterwarnings("ignore", r"Glyph \d+")
        yield


def figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A new figure with a size in inches, and axes in a row; none for no columns."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    if not columns:
        return figure, []
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def key(axes: Axes, entries: Iterable[tuple[str, str, str, str]]) -> None:
    """Writes a legend in a line above the axes.

    Args:
        axes: of the figure.
        entries: `(text, colour, marker, line)` of each mark.
    """
    handles = [
        Line2D(
            [],
            [],
            color=colour,
            marker=marker,
            markeredgewidth=2 if marker == "|" else 1,
            linestyle=cast(Any, line),
            label=text,
        )
        for text, colour, marker, line in entries
    ]
    # Labels that begin with an underscore would be left out: names are data.
    legend = axes.legend(
        handles,
        [str(handle.get_label()) for handle in handles],
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=_columns(axes, handles),
        handlelength=1.2,
        handletextpad=0.5,
        columnspacing=1.4,
        borderpad=0.2,
        fontsize=8.5,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _columns(axes: Axes, handles: list[Line2D]) -> int:
    # A character is about 0.07 inches wide, and a mark with its space five characters.
    lengths = [5 + len(str(handle.get_label())) for handle in handles]
    room = cast(Figure, axes.figure).get_figwidth() / 0.07
    if sum(lengths) <= room:
        return len(handles)
    return max(1, int(room / max(lengths)))


def png(figure: Figure) -> bytes:
    """The figure as a PNG, for slides and papers."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=160)
    return file.getvalue()


def svg(figure: Figure, name: str) -> str:
    """The figure as an SVG for a page, with theme colours and unique ids."""
    file = io.StringIO()
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", metadata=empty, transparent=True)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    return _with_size_of_page(_themed(_with_own_ids(text, name)))


def _with_own_ids(text: str, name: str) -> str:
    # Two figures in one page must not share an id.
    ids: dict[str, str] = {}
    numbers = itertools.count(1)
    for identifier in re.findall(r'(?<= id=")[^"]+', text):
        ids.setdefault(identifier, f"{name}-{next(numbers)}")
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{ids[m[1]]}"', text)
    return re.sub(
        r'(url\(#|href="#)([^")]+)', lambda m: f"{m[1]}{ids.get(m[2], m[2])}", text
    )


def _themed(text: str) -> str:
    names = {light: name for name, light in COLOUR.items()}

    def variable(match: re.Match[str]) -> str:
        name = names.get(match[0])
        return match[0] if name is None else f"var(--{name})"

    return re.sub(r"(?<=: )#[0-9a-f]{6}\b", variable, text)


def _with_size_of_page(text: str) -> str:
    head, body = text.split(">", 1)
    head = re.sub(r' (width|height|xmlns(:\w+)?|version)="[^"]*"', "", head)
    return f"{head}>{body}"
