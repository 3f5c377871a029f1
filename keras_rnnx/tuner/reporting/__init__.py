"""The report of a hyperparameter search: one page, and its figures beside it."""

from __future__ import annotations

import importlib
from pathlib import Path

from keras_rnnx.tuner.files import write_bytes

__all__ = ["write"]


def write(directory: Path) -> Path:
    """Writes the report of the search whose `leaderboard.json` is in `directory`.

    The page, `report.html`, holds all of its figures and loads nothing. The figures are
    beside it once more as files, `figures/*.png`. Each file is written in one step.
    The same leaderboard gives the same files, byte for byte. A figure for which the
    search has no data is not written; the page says why.

    Args:
        directory: where `leaderboard.json` is. The report goes there as well.

    Returns:
        The path of the page.

    Raises:
        ImportError: without Optuna or Matplotlib.
        FileNotFoundError: without `leaderboard.json`.

    Example:

    >>> page = keras_rnnx.tuner.reporting.write("runs/digits")  # doctest: +SKIP
    >>> webbrowser.open(page.resolve().as_uri())  # doctest: +SKIP
    """
    for package in ("optuna", "matplotlib"):
        _require(package)
    from keras_rnnx.tuner.reporting import _figures, _page, _search

    directory = Path(directory)
    search = _search.read(directory / "leaderboard.json")
    drawn = _figures.draw(search)
    folder = directory / "figures"
    folder.mkdir(exist_ok=True)
    for name in _figures.NAMES:
        path = folder / f"{name}.png"
        if name in drawn.png:
            write_bytes(path, drawn.png[name])
        else:
            # An earlier report of this search may have had it.
            path.unlink(missing_ok=True)
    page = directory / "report.html"
    write_bytes(page, _page.page(search, drawn).encode())
    return page


def _require(package):
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"The report of a search needs {error.name}: "
            f"pip install 'keras-rnnx[report]'."
        ) from error
