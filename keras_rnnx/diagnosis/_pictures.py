"""The figure and the page of a report, where Matplotlib is installed."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from keras_rnnx.diagnosis.report import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def require(what: str) -> None:
    """Raises an ImportError that says how to install Matplotlib, where it is missing.

    Args:
        what: what needs it.
    """
    try:
        found = importlib.util.find_spec("matplotlib")
    except ValueError:
        found = None
    if found is None:
        raise ImportError(f"{what} needs matplotlib: pip install 'keras-rnnx[plots]'.")


def plot(report: Report, path: str | os.PathLike[str] | None) -> Figure:
    """Draws all panels; see `Report.plot`."""
    require("Report.plot")
    from keras_rnnx.diagnosis import _figure

    return _figure.figure(report, path)


def write_html(report: Report, path: str | os.PathLike[str]) -> Path:
    """Writes the page; see `Report.write_html`."""
    require("Report.write_html")
    from keras_rnnx.diagnosis import _page

    path = Path(path)
    # Written in one step: whoever reads it sees the old page or the new one.
    new = path.with_name(f"{path.name}.new")
    new.write_text(_page.page(report), encoding="utf-8")
    os.replace(new, path)
    return path
