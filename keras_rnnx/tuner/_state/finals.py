"""Trains the best trials of a search again, with other seeds."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping

from keras_rnnx.tuner._state.records import COMPLETED, RUNNING, Record

# The share of a time budget for the search; the rest is for repeated trainings.
SHARE = 0.75


@dataclasses.dataclass(frozen=True)
class Finals:
    """How to train the best trials again.

    Attributes:
        finalists: number of trials that are trained again.
        runs: number of trainings of each, including the one of the search.
    """

    finalists: int
    runs: int

    @property
    def wanted(self) -> bool:
        """Whether there is anything to train again."""
        return self.finalists > 0 and self.runs > 1

    @property
    def share_of_search(self) -> float:
        """The share of a time budget for the search itself."""
        return SHARE if self.wanted else 1.0

    def chosen(self, records: Mapping[str, Record], direction: str) -> list[str]:
        """The ids of the trials that are trained again, the best first."""
        done = {
            key: record
            for key, record in records.items()
            if record.status == COMPLETED and record.of is None
        }
        sign = 1 if direction == "min" else -1
        ranked = sorted(done, key=lambda key: (sign * done[key].final_score, key))
        return ranked[: self.finalists]

    def next(self, records: Mapping[str, Record], direction: str) -> Record | None:
        """The next training, or None if all have begun.

        Every finalist is trained a second time before any is trained a third time: so a
        search that runs out of time compares equal numbers of runs.
        """
        chosen = self.chosen(records, direction)
        begun = {(record.of, record.run) for record in records.values()}
        for run in range(1, self.runs):
            for key in chosen:
                if (key, run) not in begun:
                    return Record(dict(records[key].values), of=key, run=run)
        return None


def scores(records: Mapping[str, Record], key: str) -> list[float]:
    """The scores of all trainings of a trial, its own first.

    A training that diverged or failed has no score; `winner` counts it.
    """
    runs = [records[key], *(record for record in records.values() if record.of == key)]
    return [record.final_score for record in runs if record.status == COMPLETED]


def winner(records: Mapping[str, Record], finals: Finals, direction: str) -> str | None:
    """The id of the best trial, or None.

    That is the finalist with the best mean over all of its runs. Finalists with runs
    that diverged or failed come after the others.
    """
    chosen = finals.chosen(records, direction) or Finals(1, 1).chosen(
        records, direction
    )
    if not chosen:
        return None
    sign = 1 if direction == "min" else -1

    def order(key: str) -> tuple[int, float]:
        lost = [
            record
            for record in records.values()
            if record.of == key and record.status not in (COMPLETED, RUNNING)
        ]
        return len(lost), sign * statistics.mean(scores(records, key))

    return min(chosen, key=order)
