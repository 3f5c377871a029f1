"""Trains what the table of a paper needs, and writes docs/published.md.

    python -m benchmarks.published pascanu2013
    python -m benchmarks.published chung2014 --data DIR      # tasks that need files
    python -m benchmarks.published records --only "JSB" --seeds 3 --budget 30m
    python -m benchmarks.published tallec2018 --show         # print what was kept
    python -m benchmarks.published                           # only write the page
    python -m benchmarks.published --check                   # is the page current?

A run is kept in benchmarks/results/published-NAME.json as it ends, and not repeated.
One that is cut off goes on from its last epoch, and a text from its last 500 batches.
The first seed of every row comes first. KERAS_BACKEND chooses the backend.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pathlib
import re
import sys
import time
import traceback

from benchmarks.published import page, runs
from benchmarks.published.declared import Search
from benchmarks.published.tables import TABLES

SEEDS, QUIET = 3, 20.0
UNITS = {"s": 1, "m": 60, "h": 3600, "": 1}


def main(argv: list[str] | None = None) -> int:
    """Runs what is not kept yet, and writes the page; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.published",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("name", nargs="?", choices=TABLES, metavar="NAME", help=", ".join(TABLES))
    add("--seeds", type=_whole, default=SEEDS, help=f"runs of a row. Default: {SEEDS}")
    add("--only", metavar="TEXT", help="rows in whose name this stands")
    add("--budget", type=seconds, help="time to stop after: 30m, 2h or seconds")
    add("--data", type=pathlib.Path, metavar="DIR", help="folder of raw files")
    add("--show", action="store_true", help="train nothing, print what was kept")
    add("--check", action="store_true", help="say whether the page is current")
    add(
        "--into",
        type=pathlib.Path,
        default=runs.RESULTS,
        metavar="DIR",
        help="default: benchmarks/results",
    )
    add("--page", type=pathlib.Path, default=page.PAGE, help="default: docs/...")
    options = parser.parse_args(argv)
    try:
        if options.check:
            return _check(options)
        failed = False
        if options.name:
            kept = runs.Kept(TABLES[options.name], options.into)
            if not options.show:
                failed = _run(kept, options)
            print(page.section(kept.table, kept))
        page.write(options.into, options.page)
    except ValueError as error:
        print(f"benchmarks.published: {error}", file=sys.stderr)
        return 2
    return 1 if failed else 0


def _check(options):
    text = options.page.read_text()
    if page.current(text, options.into) == text:
        return 0
    print(
        f"{options.page.name} is not as the runs are: run python -m "
        f"benchmarks.published"
    )
    return 1


def _run(kept, options):
    """Trains what is wanted; whether something failed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # They import a backend, which the environment has to be ready for.
    data = importlib.import_module("benchmarks.published.data")
    _flush_denormals()
    rows, without = [], set()
    for row in kept.table.rows:
        if options.only and options.only not in row.name or row.setup is None:
            continue
        why = data.missing(row.setup.task, options.data)
        if why is None:
            rows.append(row)
        else:
            without.add(why)
    for why in sorted(without):
        print(f"Left out: {why}", flush=True)
    wanted = kept.wanted(rows, options.seeds)
    clock = Clock(options.budget)
    failed = False
    for number, (row, seed) in enumerate(wanted):
        clock.next(kept, wanted[number:])
        print(f"{number + 1} of {len(wanted)}: {row.name}, seed {seed}", flush=True)
        try:
            found = _train(row, seed, kept, options, clock)
        except Exception:  # noqa: BLE001 - shown, and other rows are waiting
            traceback.print_exc()
            failed = True
            continue
        if found is None:
            print("The budget is over; the same command goes on from here.")
            break
        kept.add(row, seed, found)
        page.write(options.into, options.page)
        print(f"  {page.facts(found)}", flush=True)
        if clock.over:
            print("The budget is over; the same command goes on from here.")
            break
    return failed


def _flush_denormals():
    """As XLA does: on torch, gradients that vanish take many times as long else."""
    import keras

    if keras.backend.backend() == "torch":
        import torch

        torch.set_flush_denormal(True)


def _train(row, seed, kept, options, clock):
    # What a run needs to go on lies beside the results, and goes when it ends.
    name = re.sub(r"\W+", "-", f"{kept.table.name}-{row.name}-{seed}-{row.fingerprint}")
    folder = options.into / "unfinished" / name
    if isinstance(row.setup, Search):
        searching = importlib.import_module("benchmarks.published.searching")
        return searching.search(row.setup, seed, folder, options.data)
    training = importlib.import_module("benchmarks.published.training")
    return training.train(row.setup, seed, row.key, folder, options.data, clock.pause)


class Clock:
    """Says how far a command is, how long it may still take, and when to stop.

    Args:
        budget: seconds, or None.
    """

    def __init__(self, budget: float | None):
        self.budget, self.start, self.said = budget, time.monotonic(), 0.0
        self.later = 0.0

    @property
    def over(self) -> bool:
        """Whether the budget is used up."""
        return self.budget is not None and time.monotonic() - self.start > self.budget

    def next(self, kept: runs.Kept, wanted: list) -> None:
        """Begins a run; estimates those behind it by the kept runs of their rows."""
        self.begun, self.done = time.monotonic(), None
        self.later = 0.0
        for row, _ in wanted[1:]:
            times = [run["cpu_s"] for run in kept.of(row).values()]
            self.later += sum(times) / len(times) if times else 0.0

    def pause(self, watch) -> bool:
        """Prints how far a run is; whether to stop it here for now."""
        now, epochs = time.monotonic(), len(watch.epochs)
        self.done = self.done or (epochs - 1, self.begun)
        if now - self.said > QUIET:
            self.said = now
            each = (now - self.done[1]) / max(epochs - self.done[0], 1)
            left = each * (watch.setup.epochs - epochs) + self.later
            print(
                f"  epoch {epochs} of at most {watch.setup.epochs}: "
                f"{watch.name} {watch.curve[-1]:.4g}, best "
                f"{watch.curve[watch.best]:.4g}; at most {left / 60:.0f} min left "
                f"for what can be estimated",
                flush=True,
            )
        return self.over


def seconds(text: str) -> float:
    """A time as 30m, 2h, 90s or 90, in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if match is None or float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"must be like 30m, 2h or 90; received {text}")
    return float(match[1]) * UNITS[match[2]]


def _whole(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, received {text}")
    return number


if __name__ == "__main__":
    sys.exit(main())
