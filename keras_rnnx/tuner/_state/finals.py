"""The best of a search, trained again with other seeds."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping

from keras_rnnx.tuner._state.records import COMPLETED, RUNNING, Record

# The rest of a budget of time is for the trainings again.
SHARE = 0.75


@dataclasses.dataclass(frozen=True)
class Finals:
    """How the best trials are trained again.

    Attributes:
        finalists: how many of them.
        runs: how many trainings each has, the one of the search among them.
    """

    finalists: int
    runs: int

    @property
    def wanted(self) -> bool:
        """Whether there is anything to train again."""
        return self.finalists > 0 and self.runs > 1

    @property
    def share_of_search(self) -> float:
        """The share of a budget of time that is for the search itself."""
        return SHARE if self.wanted else 1.0

    def chosen(self, records: Mapping[str, Record], direction: str) -> list[str]:
        """The ids of the trials that are trained again, the best first."""
        done = {
            key: one
            for key, one in records.items()
            if one.status == COMPLETED and one.of is None
        }
        sign = 1 if direction == "min" else -1
        ranked = sorted(done, key=lambda key: (sign * done[key].final_score, key))
        return ranked[: self.finalists]

    def next(self, records: Mapping[str, Record], direction: str) -> Record | None:
        """The next training, or None if all have begun.

        First every finalist is trained once more, then every one again: a search that
        runs out of time compares as many runs of each.
        """
        chosen = self.chosen(records, direction)
        begun = {(one.of, one.run) for one in records.values()}
        for run in range(1, self.runs):
            for key in chosen:
                if (key, run) not in begun:
                    return Record(dict(records[key].values), of=key, run=run)
        return None


def scores(records: Mapping[str, Record], key: str) -> list[float]:
    """What all trainings of a trial scored, its own first.

    One that diverged or failed has no score, and counts as such elsewhere.
    """
    runs = [records[key], *(one for one in records.values() if one.of == key)]
    return [one.final_score for one in runs if one.status == COMPLETED]


def winner(records: Mapping[str, Record], finals: Finals, direction: str) -> str | None:
    """The id of the best trial, or None.

    That is the finalist with the best mean over all of its runs. One of which a run
    diverged or failed comes behind those of which none did.
    """
    chosen = finals.chosen(records, direction) or Finals(1, 1).chosen(
        records, direction
    )
    if not chosen:
        return None
    sign = 1 if direction == "min" else -1

    def order(key):
        lost = [
            one
            for one in records.values()
            if one.of == key and one.status not in (COMPLETED, RUNNING)
        ]
        return len(lost), sign * statistics.mean(scores(records, key))

    return min(chosen, key=order)
