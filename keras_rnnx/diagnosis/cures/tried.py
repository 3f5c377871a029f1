"""What `report.try_cures` returns: curves, a table, and the best model."""

from __future__ import annotations

import dataclasses
import html
import math
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

from keras_rnnx import _durations
from keras_rnnx.inspection.table import Table

if TYPE_CHECKING:
    from keras_rnnx.diagnosis.cures.cure import Cure
    from keras_rnnx.diagnosis.report import Finding

AS_IT_IS = "the model as it is"
# A loss that is lower by less than this part of it may be so by chance.
MARGIN = 0.05
# Of a cure for slow layers: by how much a step is faster, and by which part the loss
# may be higher.
FASTER, AS_GOOD = 1.2, 0.05
WIDTH = 88


@dataclasses.dataclass(frozen=True, eq=False)
class LearningCurve:
    """What was measured of a candidate while it trained, at each validation.

    Attributes:
        steps: `(points,)`: number of steps before it. The first one is 0.
        seconds: of training before it, without the first step, which compiles.
        loss: of the batches since the point before; NaN at the first one.
        val_loss: of the data for validation.
        metrics: the metrics of the model for these data, by name.
        end: the validation loss of the model as training leaves it.
    """

    steps: np.ndarray
    seconds: np.ndarray
    loss: np.ndarray
    val_loss: np.ndarray
    metrics: dict[str, np.ndarray]
    end: float


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """One candidate: the model as it is, or with a cure.

    Attributes:
        name: of the cure, or "the model as it is".
        cure: the cure; None for the model as it is.
        finding: the first finding that names the cure, or None.
        model: the candidate as training leaves it; None if it was not tried.
        curve: what was measured; None if it was not tried.
        step_seconds: the median time of a step; None for fewer than two.
        anew: names of the weights that it does not share with the others at the start.
        diverged: the step at which the loss is not finite, or None.
        refused: why it was not tried, or None.
    """

    name: str
    cure: Cure | None
    finding: Finding | None
    model: keras.Model | None = None
    curve: LearningCurve | None = None
    step_seconds: float | None = None
    anew: tuple[str, ...] = ()
    diverged: int | None = None
    refused: str | None = None

    @property
    def end(self) -> float | None:
        """The validation loss at the end; None if it diverged or was not tried."""
        if self.curve is None or self.diverged is not None:
            return None
        return self.curve.end

    @property
    def lowest(self) -> float | None:
        """The lowest validation loss that is finite."""
        if self.curve is None:
            return None
        finite = self.curve.val_loss[np.isfinite(self.curve.val_loss)]
        return float(finite.min()) if len(finite) else None


class Row(NamedTuple):
    """A candidate in the table."""

    cure: str
    steps: str
    ms_a_step: str
    loss: str
    lowest: str
    result: str


class Trials(Table):
    """The candidates as a table."""

    empty = "Nothing was tried."


@dataclasses.dataclass(frozen=True, eq=False)
class Tried:
    """Which cures helped: print it, or read its attributes.

    Attributes:
        trials: the candidates that trained, the model as it is first.
        refused: those that were not tried, with the reason.
        given: the validation loss of the model as it was given, before any training.
        start: what all candidates started from, in words.
        validation: what they are compared on, in words.
        budget: how long each trained, in words.
        notes: what else to know.
        seconds: how long it all took.
    """

    trials: list[Trial]
    refused: list[Trial]
    given: float
    start: str
    validation: str
    budget: str
    notes: list[str]
    seconds: float

    @property
    def as_it_is(self) -> Trial:
        """The model as it is, after the same training."""
        return self.trials[0]

    @property
    def helped(self) -> list[Trial]:
        """The candidates that helped, best first.

        One helps whose validation loss at the end is lower by a twentieth than that of
        the model as it is; or one against a slow layer whose step takes 1.2 times less
        and whose loss is not higher by a twentieth.
        """
        cures = [t for t in self.trials[1:] if t.end is not None]
        better = [t for t in cures if self._better(t)]
        faster = [t for t in cures if t not in better and self._faster(t)]
        better.sort(key=lambda t: t.end if t.end is not None else math.inf)
        faster.sort(key=lambda t: t.step_seconds or math.inf)
        return better + faster

    @property
    def winner(self) -> Trial:
        """The candidate that helps most; the model as it is where none does."""
        return next(iter(self.helped), self.as_it_is)

    @property
    def best(self) -> keras.Model:
        """The trained model of the winner, ready to use and to train further."""
        return self.winner.model

    @property
    def improvement(self) -> float:
        """By which factor the loss of the winner is lower; 1.0 where none helped.

        If the model as it is diverged, its lowest loss before counts. It is infinite
        where the loss of the winner is 0, and NaN for losses below 0.
        """
        return self._times_lower(self.winner)

    @property
    def speedup(self) -> float:
        """By which factor a step of the winner takes less time."""
        return self._times_faster(self.winner)

    @property
    def curves(self) -> dict[str, LearningCurve]:
        """The curves by the name of the candidate."""
        return {t.name: t.curve for t in self.trials if t.curve is not None}

    @property
    def table(self) -> Trials:
        """The candidates as a table: a list of `Row`."""
        return Trials(map(self._row, self.trials))

    def plot(self, path: str | Path | None = None) -> Any:
        """Draws the curves of validation, over steps and over time.

        Args:
            path: file to write, such as "cures.png". Default None: none.

        Returns:
            A `matplotlib.figure.Figure`.
        """
        from keras_rnnx.diagnosis.cures import _plot

        return _plot.draw(self, path)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _reference(self) -> float:
        """The loss that a cure has to be better than."""
        end = self.as_it_is.end
        if end is None:
            end = self.as_it_is.lowest
        return math.inf if end is None else end

    def _better(self, trial: Trial) -> bool:
        reference, end = self._reference(), trial.end
        if end is None:
            return False
        if not math.isfinite(reference):
            return True
        return end < reference - MARGIN * abs(reference)

    def _faster(self, trial: Trial) -> bool:
        reference, end = self._reference(), trial.end
        slow = trial.finding is not None and trial.finding.name == "slow"
        if not slow or end is None or self._times_faster(trial) < FASTER:
            return False
        return end <= reference + AS_GOOD * abs(reference)

    def _times_lower(self, trial: Trial) -> float:
        if trial is self.as_it_is:
            return 1.0
        reference, end = self._reference(), trial.end
        if end is None or end < 0 or reference < 0:
            return math.nan
        return reference / end if end else math.inf

    def _times_faster(self, trial: Trial) -> float:
        own, theirs = trial.step_seconds, self.as_it_is.step_seconds
        return theirs / own if own and theirs else math.nan

    def _row(self, trial: Trial) -> Row:
        curve = trial.curve
        steps = int(curve.steps[-1]) if curve is not None else 0
        if trial.diverged is not None:
            steps = trial.diverged
        return Row(
            trial.name,
            f"{steps:,}",
            "-" if trial.step_seconds is None else short_ms(trial.step_seconds),
            "-" if trial.end is None else f"{trial.end:.4g}",
            "-" if trial.lowest is None else f"{trial.lowest:.4g}",
            self._verdict(trial),
        )

    def _verdict(self, trial: Trial) -> str:
        if trial.diverged is not None:
            return f"diverged at step {trial.diverged:,}"
        if trial is self.as_it_is:
            return ""
        lower, faster = self._times_lower(trial), self._times_faster(trial)
        said = []
        if self._better(trial):
            lower_said = "lower" if not math.isfinite(lower) else f"{lower:.3g} x lower"
            said.append(lower_said)
        elif trial.end is not None and trial.end > self._reference() * (1 + MARGIN):
            said.append("worse")
        else:
            said.append("no better")
        if faster >= FASTER:
            said.append(f"{faster:.3g} x faster")
        return ", ".join(said)

    def _lines(self) -> Iterator[str]:
        count = len(self.trials) - 1
        took = _durations.text(self.seconds)
        yield from _wrapped(
            f"{count} cure{'s' * (count != 1)} tried in {took}, {self.budget}, "
            f"{self.start}. Losses are those of validation: {self.validation}."
        )
        yield ""
        yield str(self.table)
        yield ""
        yield from _wrapped(self._conclusion())
        if self.winner is not self.as_it_is and self.winner.cure is not None:
            for line in self.winner.cure.code.splitlines():
                yield f"    {line}"
        for trial in self.trials[1:]:
            if trial.anew:
                yield from _wrapped(
                    f"note: {trial.name} draws anew {', '.join(trial.anew)}."
                )
        for trial in self.refused:
            yield from _wrapped(f"not tried: {trial.name}: {trial.refused}.")
        for note in self.notes:
            yield from _wrapped(f"note: {note}")

    def _conclusion(self) -> str:
        winner = self.winner
        if winner is self.as_it_is:
            if not self.trials[1:]:
                return "No cure was tried."
            return (
                "None helped: no cure ends with a loss that is lower by a twentieth "
                "than that of the model as it is."
            )
        if not self._better(winner):
            return (
                f"{winner.name} helps most: a step takes {self.speedup:.3g} times "
                f"less, with a loss of {winner.end:.4g} beside {self._reference():.4g}."
            )
        if self.as_it_is.diverged is not None:
            beside = "the model as it is diverges"
            if math.isfinite(self._reference()):
                beside += f", after a loss of {self._reference():.4g} at best"
        else:
            beside = f"the model as it is has {self._reference():.4g}"
        factor = self.improvement
        times = "" if not math.isfinite(factor) else f", {factor:.3g} times lower"
        return (
            f"{winner.name} helps most: its loss is {winner.end:.4g}{times}; {beside}."
        )


def short_ms(seconds: float) -> str:
    """Milliseconds, with three digits at most."""
    return f"{1e3 * seconds:.3g}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        subsequent_indent="    " if text.startswith(("note: ", "not tried: ")) else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
