"""The runs of an experiment: trained once, kept, shown as a table and a plot."""

from __future__ import annotations

import datetime
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import keras
import matplotlib
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import device, kept

matplotlib.use("Agg")
from matplotlib import pyplot


class Kept:
    """The runs of one experiment that are kept in a file.

    Args:
        module: of the experiment. It has `TITLE`, `MEASURE` (what a curve shows),
            `GOAL` (a line in the plot, or None), `COLUMNS` (functions from the runs of
            a setting to text, by title).
        folder: where the files are.
    """

    def __init__(self, module: Any, folder: pathlib.Path):
        self.module = module
        name = module.__name__.rsplit(".", 1)[-1]
        stem = f"cures-{name}-{keras.backend.backend()}"
        stem = getattr(module, "STEM", stem)
        self.path = folder / f"{stem}.json"
        self.plot = folder / f"{stem}.png"
        self.runs = []
        if self.path.exists():
            self.runs = json.loads(self.path.read_text())["runs"]

    def run(self, setting: str, seed: int, train: Callable[[int], dict]) -> None:
        """Trains and keeps one run, unless it is kept already."""
        if any((r["setting"], r["seed"]) == (setting, seed) for r in self.runs):
            return
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        start = time.perf_counter()
        found = train(seed)
        seconds = time.perf_counter() - start
        self.runs.append({"setting": setting, "seed": seed, "s": seconds, **found})
        self._write()
        last = found["curve"][-1] if found["curve"] else float("nan")
        print(f"{setting}, seed {seed}: {last:.4g}, {seconds:.0f} s", flush=True)

    def sort(self, settings: list[str]) -> None:
        """Puts the runs in the order of their settings, in whatever order they ran."""
        self.runs.sort(key=lambda run: (settings.index(run["setting"]), run["seed"]))
        self._write()

    def _write(self):
        head = {
            "title": self.module.TITLE,
            "date": datetime.date.today().isoformat(),
            **device.description(),
        }
        kept.write(self.path, head, "runs", self.runs)

    def show(self) -> None:
        """Prints the table and draws the plot."""
        module = self.module
        backend = keras.backend.backend()
        table = Table(
            title=f"{module.TITLE}: {backend}", title_justify="left", box=SIMPLE_HEAD
        )
        table.add_column("setting", no_wrap=True)
        table.add_column("runs", justify="right")
        for title in module.COLUMNS:
            table.add_column(title, justify="right")
        table.add_column("s a run", justify="right")
        for setting, runs in self._settings().items():
            cells = [column(runs) for column in module.COLUMNS.values()]
            seconds = f"{np.mean([run['s'] for run in runs]):.0f}"
            table.add_row(setting, str(len(runs)), *cells, seconds)
        console = Console()
        console = Console(width=max(console.width, 110))
        console.print(table)
        self._draw()
        print(f"kept in {self.path}; plot in {self.plot}")

    def _settings(self):
        found = {}
        for run in self.runs:
            found.setdefault(run["setting"], []).append(run)
        return found

    def _draw(self):
        """A panel for each task, a line for each method: medians and all runs."""
        if hasattr(self.module, "draw"):
            figure = pyplot.figure(figsize=(14, 7.5), layout="constrained")
            self.module.draw(self.runs, figure)
            figure.savefig(self.plot, dpi=110)
            pyplot.close(figure)
            return
        panels = {}
        for setting, runs in self._settings().items():
            panel, _, method = setting.partition(": ")
            panels.setdefault(panel, {})[method or panel] = runs
        figure, axes = pyplot.subplots(
            1, len(panels), figsize=(5 * len(panels), 4), squeeze=False
        )
        for axis, (panel, methods) in zip(axes[0], panels.items()):
            for k, (method, runs) in enumerate(methods.items()):
                for i, run in enumerate(runs):
                    axis.plot(
                        range(1, len(run["curve"]) + 1),
                        run["curve"],
                        color=f"C{k}",
                        alpha=0.7,
                        label=method if i == 0 else None,
                    )
            if self.module.GOAL is not None:
                axis.axhline(self.module.GOAL, color="black", linestyle=":")
            axis.set(title=panel, xlabel="epochs", ylabel=self.module.MEASURE)
            if getattr(self.module, "LOGARITHMIC", False):
                axis.set_yscale("log")
            axis.legend(fontsize=7)
        figure.tight_layout()
        figure.savefig(self.plot, dpi=110)
        pyplot.close(figure)


def mean_and_deviation(key: str, digits: int = 3) -> Callable[[list[dict]], str]:
    """A column: mean and standard deviation of a number over the runs."""

    def column(runs):
        values = [run[key] for run in runs if run.get(key) is not None]
        if not values:
            return ""
        spread = f" ± {np.std(values):.2g}" if len(values) > 1 else ""
        return f"{np.mean(values):.{digits}g}{spread}"

    return column
