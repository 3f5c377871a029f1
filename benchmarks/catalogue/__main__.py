"""Trains every cell of the catalogue for the same time, and writes the comparison.

    python -m benchmarks.catalogue --budget 60              # all cells, 60 s a run
    python -m benchmarks.catalogue --budget 60 --cells lstm,gru
    python -m benchmarks.catalogue --show                   # only writes the page again

A run is one cell on one task with one seed. Each is kept in
benchmarks/results/catalogue-BACKEND.json as it ends, and not repeated, so that a
command that was cut off goes on. The page is docs/cells/comparison.md. KERAS_BACKEND
chooses the backend. The budget is CPU time, or time by the clock on a GPU, where
nothing else may run.
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


def main(argv: list[str] | None = None) -> int:
    """Runs what is not kept yet, and writes the page; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.catalogue",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--budget", type=_positive, metavar="SECONDS", help="of training, for each run")
    add("--cells", metavar="A,B", help="cells to run. Default: all of the package")
    add("--tasks", metavar="A,B", help="tasks to run. Default: all")
    add("--seeds", type=int, default=1, metavar="N", help="runs of each. Default: 1")
    add("--units", type=int, default=64, metavar="N", help="default: 64")
    add("--show", action="store_true", help="run nothing, write the page again")
    add("--out", type=pathlib.Path, default=RESULTS, help="default: benchmarks/results")
    add("--page", type=pathlib.Path, default=PAGE, help="default: docs/cells/...")
    options = parser.parse_args(argv)
    if options.budget is None and not options.show:
        parser.error("pass --budget SECONDS, or --show")
    if options.seeds < 1 or options.units < 1:
        parser.error("--seeds and --units must be at least 1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Imports a backend, which the environment has to be ready for.
    runs = importlib.import_module("benchmarks.catalogue.runs")
    table = importlib.import_module("benchmarks.catalogue.table")
    try:
        kept = runs.Kept(options.out)
        if options.show:
            kept.needed()
            names = tasks = []
        else:
            names = runs.names(options.cells.split(",") if options.cells else None)
            tasks = runs.tasks(options.tasks.split(",") if options.tasks else None)
            kept.settle({"budget": options.budget, "units": options.units})
    except ValueError as error:
        print(f"benchmarks.catalogue: {error}", file=sys.stderr)
        return 2
    failed = []
    for name in names:
        for task in tasks:
            for seed in range(options.seeds):
                try:
                    kept.run(name, task, seed)
                except Exception:  # noqa: BLE001 - shown, and other cells are waiting
                    traceback.print_exc()
                    failed.append(f"{name} ({task}, seed {seed})")
    if failed:
        print(
            f"benchmarks.catalogue: failed: {', '.join(failed)}. They are not kept: "
            f"the same command tries them again.",
            file=sys.stderr,
        )
    if not kept.runs:
        return 1
    options.page.parent.mkdir(parents=True, exist_ok=True)
    options.page.write_text(table.page(kept.head, kept.runs, runs.names(None)))
    print(f"kept in {kept.path}; page in {options.page}")
    return 1 if failed else 0


def _positive(text):
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be positive, received {text}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
