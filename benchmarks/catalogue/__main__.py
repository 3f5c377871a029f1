"""Searches for a setting of every cell, trains it with several seeds, writes the page.

    python -m benchmarks.catalogue                          # all cells
    python -m benchmarks.catalogue --cells lstm,gru
    python -m benchmarks.catalogue --budget 60 --search-budget 15 --seeds 5
    python -m benchmarks.catalogue --show                   # only writes the page again

Each cell has six trials on each task, and its best setting is trained with each seed. A
run is kept in benchmarks/results/catalogue-BACKEND.json as it ends, and not repeated,
so that a command that was cut off goes on. The page is docs/cells/comparison.md, with
the figure docs/images/comparison.svg. KERAS_BACKEND chooses the backend. Budgets are
CPU time on one core, or time by the clock on a GPU, where nothing else may run.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pathlib
import sys
import traceback

ROOT = pathlib.Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "cells" / "comparison.md"
FIGURE = ROOT / "docs" / "images" / "comparison.svg"
BUDGET, SEARCH_BUDGET, SEEDS, UNITS = 8.0, 2.0, 3, 64


def main(argv: list[str] | None = None) -> int:
    """Runs what is not kept yet, and writes the page; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.catalogue",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    seconds = {"type": _positive, "metavar": "SECONDS"}
    add(
        "--budget",
        default=BUDGET,
        help=f"of training, for each run that is tested. Default: {BUDGET:g}",
        **seconds,
    )
    add(
        "--search-budget",
        default=SEARCH_BUDGET,
        help=f"of training, for each trial of a search. Default: {SEARCH_BUDGET:g}",
        **seconds,
    )
    add(
        "--seeds",
        type=_whole,
        default=SEEDS,
        metavar="N",
        help=f"runs of the chosen setting that are tested. Default: {SEEDS}",
    )
    add("--cells", metavar="A,B", help="cells to run. Default: all of the package")
    add("--tasks", metavar="A,B", help="tasks to run. Default: all")
    add("--units", type=_whole, default=UNITS, metavar="N", help=f"default: {UNITS}")
    add("--show", action="store_true", help="run nothing, write the page again")
    add("--out", type=pathlib.Path, default=RESULTS, help="default: benchmarks/results")
    add("--page", type=pathlib.Path, default=PAGE, help="default: docs/cells/...")
    add("--figure", type=pathlib.Path, default=FIGURE, help="default: docs/images/...")
    options = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Imports a backend, which the environment has to be ready for.
    runs = importlib.import_module("benchmarks.catalogue.runs")
    tasks = importlib.import_module("benchmarks.catalogue.tasks")
    try:
        kept = runs.Kept(options.out)
        wanted = []
        if options.show:
            kept.needed()
        else:
            cells = runs.names(options.cells.split(",") if options.cells else None)
            chosen = tasks.names(options.tasks.split(",") if options.tasks else None)
            wanted = [(cell, task) for cell in cells for task in chosen]
            budgets = {"budget": options.budget, "search_budget": options.search_budget}
            kept.settle({**budgets, "units": options.units})
    except ValueError as error:
        print(f"benchmarks.catalogue: {error}", file=sys.stderr)
        return 2
    failed = []
    for number, (cell, task) in enumerate(wanted, 1):
        print(f"{number} of {len(wanted)}: {cell}, {task}", flush=True)
        try:
            kept.compare(cell, task, options.seeds)
        except Exception:  # noqa: BLE001 - shown, and other cells are waiting
            traceback.print_exc()
            failed.append(f"{cell} ({task})")
    if failed:
        print(
            f"benchmarks.catalogue: failed: {', '.join(failed)}. What failed is not "
            f"kept: the same command tries it again.",
            file=sys.stderr,
        )
    if not kept.runs:
        return 1
    _write(kept, runs.names(None), options.page, options.figure)
    return 1 if failed else 0


def _write(kept, cells, page, figure):
    """Writes the page and its figure."""
    table = importlib.import_module("benchmarks.catalogue.table")
    draw = importlib.import_module("benchmarks.catalogue.figure").draw
    drawn = draw(kept.head, kept.runs, figure)
    link = table.link(page, figure) if figure.exists() else None
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(table.page(kept.head, kept.runs, cells, link))
    print(f"kept in {kept.path}; page in {page}; {drawn}")


def _positive(text):
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be positive, received {text}")
    return seconds


def _whole(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, received {text}")
    return number


def _one_core():
    """Keeps this process, and the threads of any backend, on one core.

    Only before a backend is imported: backends count the cores then.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


if __name__ == "__main__":
    _one_core()
    sys.exit(main())
