"""Mean and spread of the runs of a row, and whether they hold up to the paper."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.published.declared import Row

DEVIATIONS = 2.0


@dataclass(frozen=True)
class Summary:
    """The figures of the runs of a row.

    Attributes:
        figures: of the runs that ended, in the order of their seeds.
        diverged: how many did not.
    """

    figures: tuple[float, ...]
    diverged: int = 0

    @property
    def mean(self) -> float | None:
        """The mean, or None without figures."""
        return statistics.fmean(self.figures) if self.figures else None

    @property
    def spread(self) -> float | None:
        """The standard deviation (of n - 1), or None with fewer than two figures."""
        return statistics.stdev(self.figures) if len(self.figures) > 1 else None


def summary(figures: Sequence[float | None]) -> Summary:
    """Sums up the figures of runs, None for those that diverged."""
    there = tuple(figure for figure in figures if figure is not None)
    return Summary(there, len(figures) - len(there))


def verdict(row: Row, found: Summary) -> str:
    """Whether the mean is within two standard deviations of the paper's, or better.

    Args:
        row: the row.
        found: its runs.

    Returns:
        "yes" or "no", or why there is neither.
    """
    if found.mean is None:
        return "no: every run diverged" if found.diverged else "not run"
    if row.figure is None:
        return "the paper has no figure"
    if not row.comparable:
        return "another size"
    if found.diverged:
        return f"no: {found.diverged} diverged"
    behind = row.figure - found.mean if row.more_is_better else found.mean - row.figure
    # One run has no spread: it has to be as good.
    within = behind <= DEVIATIONS * (found.spread or 0.0)
    return "yes" if within else "no"
