"""Compares our search with KerasTuner's own tuners, for the same time.

    python -m benchmarks.tuning --seconds 90 --manual-dir DIR    # everything
    python -m benchmarks.tuning --tasks digits,adding --seconds 60 --seeds 1
    python -m benchmarks.tuning --methods random+asha/1,tpe+median/2,kt-bayesian
    python -m benchmarks.tuning --only-report                    # the table again

A method is TUNER+RULE/WORKERS, the arguments of `keras_rnnx.tuner.search`, or one of
kt-random, kt-bayesian and kt-hyperband, KerasTuner's own over the same hypermodel, with
the threads that a process has by default, or as kt-random/1 with so many. The
time begins with the call of the search; what it imports is no part of it, and the start
of our workers is. The epoch that runs when the time is over is finished, and a score
that comes later does not count.

Each run has a process of its own, one after the other, and is kept in
benchmarks/results/tuning-BACKEND.json as it ends. What is kept is not run again: a
command that was cut off goes on. DIR has a folder for each data set, with its raw files
(JSB_Chorales.mat, JapaneseVowels_TRAIN.ts, TREC.train.all, ...); without it the tasks
that need them are left out, unless --tasks names them.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from benchmarks.tuning import methods, runs
from benchmarks.tuning.settings import SETTINGS

RESULTS = runs.ROOT / "benchmarks" / "results"
BACKENDS = ("tensorflow", "jax", "torch")


def main(argv: list[str] | None = None) -> int:
    """Runs what is not kept yet, and reports; returns the exit status."""
    options = arguments(argv)
    held = runs.Kept(options.out, options.backend)
    failed = 0
    if not options.only_report:
        try:
            failed = run_all(options, held)
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
    if not held.runs:
        print(f"{held.path} has no runs.", file=sys.stderr)
        return 2
    from benchmarks.tuning import report

    report.show(held)
    return 1 if failed else 0


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tuning",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--tasks", type=_tasks, metavar="A,B", help=f"of {', '.join(SETTINGS)}")
    add(
        "--methods",
        type=_methods,
        default=methods.DEFAULT,
        metavar="A,B",
        help=f"default: {','.join(methods.DEFAULT)}",
    )
    add("--seeds", type=_count, default=3, metavar="N", help="of each. Default: 3")
    add(
        "--seconds", type=float, default=90.0, metavar="T", help="of a run. Default: 90"
    )
    add(
        "--max-epochs",
        type=_count,
        metavar="N",
        help="of a trial. Default: as in benchmarks/tuning/settings.py",
    )
    add("--preset", default="standard", help="of the hypermodel. Default: standard")
    add(
        "--backend",
        choices=BACKENDS,
        default=os.environ.get("KERAS_BACKEND", "tensorflow"),
        help="default: KERAS_BACKEND, or else tensorflow",
    )
    add("--manual-dir", metavar="DIR", help="folder of the raw files")
    add("--data-dir", metavar="DIR", help="folder of prepared data sets")
    add("--keep", metavar="DIR", help="keep the folders of the searches here")
    add("--out", type=Path, default=RESULTS, help="default: benchmarks/results")
    add("--only-report", action="store_true", help="run nothing, print the table again")
    options = parser.parse_args(argv)
    if options.seconds <= 0:
        parser.error("--seconds must be positive")
    if options.tasks is None:
        options.tasks = [
            name for name, s in SETTINGS.items() if options.manual_dir or not s.files
        ]
    return options


def _count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"received {text!r}; give a number from 1 on")
    return int(text)


def _tasks(text):
    for name in (names := text.split(",")):
        if name not in SETTINGS:
            raise argparse.ArgumentTypeError(
                f"received {name!r}; there are {', '.join(SETTINGS)}"
            )
    return names


def _methods(text):
    for name in (names := text.split(",")):
        try:
            methods.parsed(name)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return tuple(names)


def run_all(options: argparse.Namespace, held: runs.Kept) -> int:
    """Runs what is not kept yet; returns how many runs failed."""
    wanted = []
    for task, method, seed in runs.ordered(
        options.tasks, options.methods, options.seeds
    ):
        request = {
            "task": task,
            "method": method,
            "seed": seed,
            "seconds": options.seconds,
            "max_epochs": options.max_epochs or SETTINGS[task].epochs,
            "preset": options.preset,
            "manual_dir": _absolute(options.manual_dir),
            "data_dir": _absolute(options.data_dir),
            "keep": _absolute(options.keep),
        }
        if not held.has(request):
            wanted.append(request)
    failed = 0
    for number, request in enumerate(wanted, start=1):
        name = f"{number}/{len(wanted)} {request['task']}, {request['method']}, seed "
        print(f"{name}{request['seed']}: ", end="", flush=True)
        start = time.perf_counter()
        try:
            run = runs.in_process(request, options.backend)
        except runs.RunFailed as error:
            failed += 1
            print(f"failed with {error}", flush=True)
            continue
        held.add(run)
        trials, best = run["trials"], run["best"]
        score = "no score" if best is None else f"{run['objective'][0]} {best:.4g}"
        print(
            f"{score}, {trials['begun']} trials, {run['epochs']} epochs, "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )
    return failed


def _absolute(path):
    return None if path is None else str(Path(path).expanduser().resolve())


if __name__ == "__main__":
    sys.exit(main())
