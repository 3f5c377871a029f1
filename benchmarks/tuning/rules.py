"""Compares the rules that stop trials, on trials that ran to their end.

    python -m benchmarks.tuning.rules FOLDER [FOLDER ...]
    python -m benchmarks.tuning.rules --search digits,adding --trials 40 --into DIR

FOLDER is that of a search with `stopping=None` and a number of trials. --search makes
such searches first, in DIR, and goes on with one that was cut off. The rules of
keras_rnnx.tuner are then replayed over random orders of the trials, as if these ran one
after the other. KERAS_BACKEND chooses the backend.

Columns: the share of epochs that a rule saves; in how many orders the best trial is
stopped; by how much the best score that is left is worse, on the mean and at worst.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks.tuning import replay
from benchmarks.tuning.settings import SETTINGS, load


def rules(epochs: int) -> dict[str, replay.Rule]:
    """The rules by name, for trials of so many epochs at most."""
    from keras_rnnx.tuner._state import stopping

    return {
        "median": stopping.median(epochs),
        "asha, 1 of 2": stopping.asha(epochs, 2),
        "asha, 1 of 3": stopping.asha(epochs, 3),
        "asha, 1 of 4": stopping.asha(epochs, 4),
    }


def main(argv: list[str] | None = None) -> int:
    """Makes the searches that are asked for, and prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tuning.rules",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folders", nargs="*", type=Path, metavar="FOLDER", help="of searches")
    add("--search", metavar="A,B", help=f"search first, of {', '.join(SETTINGS)}")
    add("--trials", type=int, default=40, help="of these searches. Default: 40")
    add("--workers", type=int, default=2, help="of these searches. Default: 2")
    add("--preset", default="standard", help="of their space. Default: standard")
    add("--max-params", type=int, metavar="N", help="most weights of their models")
    add("--into", type=Path, metavar="DIR", help="folder of these searches")
    add("--manual-dir", metavar="DIR", help="folder of the raw files")
    add("--data-dir", metavar="DIR", help="folder of prepared data sets")
    add("--resamples", type=int, default=400, help="orders. Default: 400")
    options = parser.parse_args(argv)
    names = options.search.split(",") if options.search else []
    if unknown := [name for name in names if name not in SETTINGS]:
        parser.error(f"--search: received {unknown[0]!r}, of {', '.join(SETTINGS)}")
    if names and options.into is None:
        parser.error("--search needs --into DIR")
    if not names and not options.folders:
        parser.error("name folders of searches, or pass --search")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folders = [*options.folders, *(_searched(name, options) for name in names)]
    try:
        searches = [replay.read(folder) for folder in folders]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    show(searches, options.resamples)
    return 0


def _searched(name, options):
    """Runs a search to its end, and gives its folder."""
    from keras_rnnx.tuner import search

    result = search(
        load(name, options.manual_dir, options.data_dir),
        trials=options.trials,
        max_epochs=SETTINGS[name].epochs,
        stopping=None,
        finalists=0,
        workers=options.workers if options.workers > 1 else None,
        preset=options.preset,
        max_params=options.max_params,
        directory=options.into / name,
    )
    return result.directory


def show(searches: list[tuple[dict, list[replay.Trial]]], resamples: int) -> None:
    """Prints the table."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for title in ("task", "rule"):
        table.add_column(title, no_wrap=True)
    for title in ("epochs saved", "best stopped", "score worse by", "at worst"):
        table.add_column(title, justify="right")
    for board, trials in searches:
        about = [board["task"], f"{len(trials)} trials", board["objective"]]
        for name, rule in rules(board["max_epochs"]).items():
            found = replay.measures(trials, rule, resamples)
            table.add_row(
                about.pop(0) if about else "",
                name,
                f"{found.saved:.0%}",
                f"{found.missed:.0%}",
                f"{found.loss:.2g}",
                f"{found.worst:.2g}",
            )
        table.add_section()
    console = Console()
    Console(width=max(console.width, 88)).print(table)


if __name__ == "__main__":
    sys.exit(main())
