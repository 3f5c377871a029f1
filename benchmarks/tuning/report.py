"""The table of the comparison, and its figure."""

from __future__ import annotations

import math
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.tuning import verdicts
from benchmarks.tuning.runs import Kept
from benchmarks.tuning.settings import SETTINGS

WIDTH = 140
# When other programs use more cores than that, threads wait for each other.
BUSY = 0.2


def show(held: Kept) -> None:
    """Prints the table of the runs that are kept, and draws their figure."""
    console = Console()
    console = Console(width=max(console.width, WIDTH))
    print_table(held.runs, console)
    path = held.path.with_suffix(".png")
    try:
        from benchmarks.tuning import figure
    except ImportError:
        drawn = "the figure was left out, since matplotlib is not installed"
    else:
        figure.draw(held.runs, path)
        drawn = f"figure in {path}"
    print(f"kept in {held.path}; {drawn}")


def print_table(runs: list[dict[str, Any]], console: Console) -> None:
    """Prints the table: for each task and method means and deviations."""
    last = runs[-1]
    table = Table(
        title=f"{last['backend']} {last['backend_version']}, {last['device']}, "
        f"{last['processor']}, KerasTuner {last['keras_tuner']}, {last['date']}",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for title in ("task", "method"):
        table.add_column(title, no_wrap=True)
    for title in ("runs", "validation", "test", "trials", "stopped", "epochs"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("beside KerasTuner's best", no_wrap=True)
    given = []
    for task, found in verdicts.summaries(runs).items():
        example = next(run for run in runs if run["task"] == task)
        name, direction = example["objective"]
        arrow = "less" if direction == "min" else "more"
        top = verdicts.best(found, direction)
        against = verdicts.against_theirs(found, direction)
        given.append(against)
        for number, one in enumerate(found):
            titles = [task, f"{name},", f"{arrow} is better"]
            title = titles[number] if number < len(titles) else ""
            method = f"[bold]{one.method} *[/]" if one is top else one.method
            table.add_row(title, *_cells(one, method, against.get(one.method)))
        table.add_section()
    console.print(table)
    console.print("*: the best mean. Runs: those that have a score, of all.")
    for method, counts in verdicts.totals(given).items():
        total = sum(counts.values())
        no_worse = total - counts[verdicts.WORSE]
        console.print(
            f"{method}: better than KerasTuner's best, or level with it, on "
            f"{no_worse} of {total} tasks; better on {counts[verdicts.BETTER]}, worse "
            f"on {counts[verdicts.WORSE]}."
        )
    busy = [run["others"] for run in runs if run.get("others", 0) > BUSY]
    if busy:
        console.print(
            f"Take care: during {len(busy)} of {len(runs)} runs other programs used "
            f"{min(busy):.1f} to {max(busy):.1f} cores. That slows down processes with "
            f"several threads most, as KerasTuner's."
        )
    for task in dict.fromkeys(run["task"] for run in runs):
        if task in SETTINGS:
            seconds = next(run["seconds"] for run in runs if run["task"] == task)
            console.print(f"{task}: {seconds:g} s a run; {SETTINGS[task].note}.")


def _cells(one, method, verdict):
    scored = one.runs - one.missing
    runs = f"{scored} of {one.runs}" if one.missing else str(one.runs)
    said = "" if verdict is None else " ".join(verdict)
    return [
        method,
        runs,
        spread(one.mean, one.spread, scored),
        spread(one.test_mean, one.test_spread, scored),
        f"{one.trials:.0f}",
        f"{one.stopped:.0f}",
        f"{one.epochs:.0f}",
        said,
    ]


def spread(mean: float, deviation: float, count: int) -> str:
    """A mean and its standard deviation, as text."""
    if math.isnan(mean):
        return "-"
    return f"{mean:.4g} ± {deviation:.2g}" if count > 1 else f"{mean:.4g}"
