"""The runs of a table that are kept in a file, and those that are taken over."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks import kept
from benchmarks.published.declared import MEASURES, Row, Table, Taken

RESULTS = pathlib.Path(__file__).parents[1] / "results"


def figure(measure: str, run: Mapping[str, Any]) -> float | None:
    """The figure of a run, None if it diverged.

    Args:
        measure: of the row: one of `declared.MEASURES`.
        run: as it is kept.
    """
    assert measure in MEASURES
    if measure == "solved":
        # A run that diverged has solved nothing.
        return float(bool(run["solved"]))
    return None if run["status"] == "diverged" else run[measure]


class Kept:
    """The runs of a table.

    Args:
        table: the table.
        folder: where the file is.

    Attributes:
        runs: a dict for each run, in the order of rows and seeds.

    Raises:
        ValueError: if there are runs of a row whose set-up has changed since.
    """

    def __init__(self, table: Table, folder: pathlib.Path = RESULTS):
        self.table = table
        self.path = folder / f"published-{table.name}.json"
        self.runs: list[dict[str, Any]] = []
        if self.path.exists():
            self.runs = json.loads(self.path.read_text())["runs"]
        prints = {row.name: row.fingerprint for row in table.rows if row.setup}
        for run in self.runs:
            if prints.get(run["row"]) != run["setup"]:
                raise ValueError(
                    f"{self.path} holds runs of the row {run['row']!r} with a set-up "
                    f"that has changed, or is gone. They are not to be compared: "
                    f"remove their lines, or move the file away."
                )

    def of(self, row: Row) -> dict[int, dict[str, Any]]:
        """The runs of a row by seed."""
        return {run["seed"]: run for run in self.runs if run["row"] == row.name}

    def add(self, row: Row, seed: int, found: Mapping[str, Any]) -> None:
        """Keeps a run, or nothing if it is cut off meanwhile."""
        key = {"row": row.name, "seed": seed, "setup": row.fingerprint}
        self.runs.append({**key, **found})
        places = [row.name for row in self.table.rows]
        self.runs.sort(key=lambda run: (places.index(run["row"]), run["seed"]))
        kept.write(self.path, {"table": self.table.name}, "runs", self.runs)

    def wanted(self, rows: Iterable[Row], seeds: int) -> list[tuple[Row, int]]:
        """Rows and seeds that are to be trained, the first seed of all rows first.

        Args:
            rows: rows of the table.
            seeds: runs of each row, with those that are taken over.
        """
        found = []
        for seed in range(seeds):
            for row in rows:
                if row.setup is None or seed >= (row.seeds or seeds):
                    continue
                if seed >= len(taken(row)) and seed not in self.of(row):
                    found.append((row, seed))
        return found

    def figures(self, row: Row) -> list[float | None]:
        """The figures of all runs of a row, those that are taken over first."""
        own = [figure(row.measure, run) for run in self.of(row).values()]
        return [*taken(row), *own]


def taken(row: Row, folder: pathlib.Path = RESULTS) -> list[float | None]:
    """The figures of a row that are taken over, None for runs that diverged.

    Args:
        row: the row.
        folder: where the files are.
    """
    source: Taken | None = row.taken
    if source is None:
        return []
    if source.figures:
        return list(source.figures)
    runs = json.loads((folder / source.source).read_text())["runs"]
    return [source.figure(run) for run in runs if run["setting"] == source.setting]
