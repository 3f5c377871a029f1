"""The report of a hyperparameter search: one page, and files with its figures."""

from __future__ import annotations

import importlib
from pathlib import Path

from keras_rnnx.tuner.files import write_bytes

__all__ = ["to_optuna", "to_tensorboard", "write"]


def write(directory: Path) -> Path:
    """Writes the report of the search whose `leaderboard.json` is in `directory`.

    The page, `report.html`, contains all of its figures and loads nothing. The figures
    are also written as files, `figures/*.png`. Each file is written in one step. The
    same leaderboard gives the same files, byte for byte. A figure without data is not
    written; the page says why.

    Args:
        directory: the folder of `leaderboard.json`. The report is written there too.

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


def to_optuna(directory: Path, path: Path) -> Path:
    """Writes the trials of a search as a study, into an Optuna journal.

    `optuna-dashboard PATH` shows it. Intermediate values are the objective after each
    epoch; stopped trials are marked as pruned.

    Args:
        directory: the folder of `leaderboard.json`.
        path: of the journal.

    Returns:
        `path`.

    Raises:
        ImportError: without Optuna.
        FileExistsError: if the file exists: Optuna would add the trials to it.
    """
    _require("optuna")
    from keras_rnnx.tuner.reporting import _exports, _search

    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists already: remove it, or name another.")
    _exports.to_optuna(_search.read(Path(directory) / "leaderboard.json"), path)
    return path


def to_tensorboard(directory: Path, folder: Path) -> Path:
    """Writes the trials of a search as runs for TensorBoard, with its HParams.

    Args:
        directory: the folder of `leaderboard.json`.
        folder: the folder to write to, with a folder for each trial.
            `tensorboard --logdir FOLDER` shows them.

    Returns:
        `folder`.

    Raises:
        ImportError: without TensorBoard.
        FileExistsError: if the folder holds anything.
    """
    _require("tensorboard", "tuner")
    from keras_rnnx.tuner.reporting import _exports, _search

    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: remove it, or name another.")
    _exports.to_tensorboard(_search.read(Path(directory) / "leaderboard.json"), folder)
    return folder


def _require(package: str, extra: str = "report") -> None:
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"The report of a search needs {error.name}: "
            f"pip install 'keras-rnnx[{extra}]'."
        ) from error
