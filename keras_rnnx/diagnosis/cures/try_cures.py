"""Trains cures beside the model as it is, from the same start."""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_rnnx import _durations, _numbers, _states
from keras_rnnx._errors import unknown
from keras_rnnx.diagnosis import _objective
from keras_rnnx.diagnosis.cures import _batches, _budget
from keras_rnnx.diagnosis.cures._copies import Copy
from keras_rnnx.diagnosis.cures._training import Course
from keras_rnnx.diagnosis.cures._treatment import Refused, Treatment
from keras_rnnx.diagnosis.cures.cure import Cure
from keras_rnnx.diagnosis.cures.tried import AS_IT_IS, Trial, Tried
from keras_rnnx.diagnosis.report import Finding

STARTS = ("auto", "weights", "anew")


class Subject(NamedTuple):
    """What a report is of, so that its cures can be tried.

    Attributes:
        model: the model.
        layers: its recurrent layers by name.
        data: inputs, targets and weights of samples, as they were given.
        batch_size: of arrays.
    """

    model: keras.Model
    layers: dict[str, keras.layers.RNN]
    data: tuple[Any, Any, Any]
    batch_size: int


@dataclasses.dataclass(frozen=True)
class Options:
    """The arguments of `try_cures`, checked."""

    budget: _budget.Budget
    start: str
    limit: int
    batch_size: int
    seed: int
    verbose: bool


def try_cures(
    subject: Subject,
    findings: Sequence[Finding],
    budget: Any,
    data: tuple[Any, Any, Any],
    validation_data: Any,
    cures: Any,
    limit: int,
    batch_size: int | None,
    start: str,
    seed: int,
    verbose: bool,
) -> Tried:
    """Does what `Report.try_cures` says.

    Args:
        subject: the model and the data of the report.
        findings: of the report.
        budget, validation_data, cures, limit, batch_size, start, seed, verbose: as for
            `Report.try_cures`.
        data: inputs, targets and weights of samples; inputs of None: those of the
            report.
    """
    begun = time.perf_counter()
    model = subject.model
    options = Options(
        budget=_budget.parse(budget),
        start=start,
        limit=_numbers.integer("limit", limit, least=1),
        batch_size=_numbers.integer(
            "batch_size",
            subject.batch_size if batch_size is None else batch_size,
            least=1,
        ),
        seed=_numbers.integer("seed", seed, least=0),
        verbose=bool(verbose),
    )
    if start not in STARTS:
        raise unknown("`start`", start, STARTS)
    if data[0] is None:
        if data[1] is not None or data[2] is not None:
            raise ValueError(
                "`y` or `sample_weight` was given without `x`. Give `x` too, or none "
                "of them for the data of the report."
            )
        data = subject.data
    chosen = chosen_cures(findings, cures, options.limit)
    stateful = bool(_states.variables(model))
    split = _batches.split(
        model, data, validation_data, options.batch_size, options.seed, stateful
    )
    missing = _objective.missing(model, split.training.batch(0))
    if missing:
        raise ValueError(f"Cures are tried by training, which needs a loss: {missing}.")
    return _Trying(subject, options, split).run(chosen, begun)


def available(findings: Sequence[Finding]) -> list[tuple[Cure, Finding]]:
    """The cures of findings, each once: the first of each finding come first."""
    most = max((len(finding.cures) for finding in findings), default=0)
    found: dict[str, tuple[Cure, Finding]] = {}
    for place in range(most):
        for finding in findings:
            for cure in finding.cures[place : place + 1]:
                found.setdefault(cure.code, (cure, finding))
    return list(found.values())


def chosen_cures(
    findings: Sequence[Finding], cures: Any, limit: int
) -> list[tuple[Cure, Finding | None]]:
    """The cures to try, with the finding that names each.

    Args:
        findings: of the report.
        cures: cures, or names of those of the findings; None: the first ones.
        limit: how many, for None. Those that can't be tried come on top.

    Raises:
        ValueError: for an unknown name, a name of several cures, or no cure.
        TypeError: for what is no cure.
    """
    known = available(findings)
    if cures is None:
        tried, result = 0, []
        for cure, finding in known:
            advice = not cure.applies
            if advice or tried < limit:
                result.append((cure, finding))
            tried += not advice
        return list(result)
    if isinstance(cures, (str, Cure)) or not isinstance(cures, Iterable):
        cures = [cures]
    found: list[tuple[Cure, Finding | None]] = []
    by_code = {cure.code: finding for cure, finding in known}
    for cure in cures:
        if isinstance(cure, Cure):
            found.append((cure, by_code.get(cure.code)))
        elif isinstance(cure, str):
            found.append(_named(cure, known))
        else:
            raise TypeError(
                f"`cures` must hold cures, such as report.findings[0].cures, or their "
                f"names; received {cure!r} of type {type(cure).__name__}."
            )
    if not found:
        raise ValueError("`cures` is empty: there is nothing to try.")
    return found


def _named(name: str, known: list[tuple[Cure, Finding]]) -> tuple[Cure, Finding | None]:
    same = [pair for pair in known if pair[0].name == name]
    part = same or [pair for pair in known if name.lower() in pair[0].name.lower()]
    if len(part) == 1:
        return part[0]
    if not part:
        raise unknown("cure in `cures`", name, [cure.name for cure, _ in known])
    names = ", ".join(repr(cure.name) for cure, _ in part)
    raise ValueError(f"`cures` names {name!r}, which may be {names}. Write more of it.")


class _Trying:
    """Trains the candidates one after the other.

    Args:
        subject: the model.
        options: the arguments.
        split: the data.
    """

    def __init__(self, subject: Subject, options: Options, split: _batches.Split):
        self._subject, self._options, self._split = subject, options, split
        self._notes: list[str] = []
        self._compiling = 0.0

    def run(self, chosen: list[tuple[Cure, Finding | None]], begun: float) -> Tried:
        """Trains the model as it is, and with each of some cures."""
        options = self._options
        copies, refused = self._copies(chosen)
        as_it_is = self._copy(self._treatment())
        given, values, start = self._start(as_it_is)
        self._notes += as_it_is.notes
        seconds = options.budget.seconds
        share = None if seconds is None else seconds / (1 + len(copies))
        trials = [self._train(Trial(AS_IT_IS, None, None), as_it_is, values, share)]
        while copies:
            trial, treatment, copy = copies.pop(0)
            patience = treatment.patience
            trials.append(self._train(trial, copy, values, share, patience))
            del copy
            gc.collect()
        if self._compiling > 1:
            took = _durations.text(self._compiling)
            self._notes.append(
                f"The first steps and validations, which compile, took {took} and are "
                f"not counted."
            )
        if options.budget.seconds is None:
            steps = options.budget.steps_of(self._split.training.epoch)
            said = f"{steps:,} steps for each"
        else:
            said = f"{_durations.text(share or 0)} of training for each"
        return Tried(
            trials=trials,
            refused=refused,
            given=given,
            start=start,
            validation=self._split.told,
            budget=said,
            notes=list(dict.fromkeys(self._notes)),
            seconds=time.perf_counter() - begun,
        )

    def _treatment(self) -> Treatment:
        subject = self._subject
        return Treatment(subject.model, subject.layers, self._split.training.shown)

    def _copy(self, treatment: Treatment) -> Copy:
        return Copy(treatment, self._options.seed)

    def _copies(
        self, chosen: list[tuple[Cure, Finding | None]]
    ) -> tuple[list[tuple[Trial, Treatment, Copy]], list[Trial]]:
        """Copies with cures; and the cures that can't be applied."""
        copies, refused = [], []
        for cure, finding in chosen:
            trial = Trial(cure.name, cure, finding)
            treatment = self._treatment()
            try:
                cure.prescribe(treatment)
                copies.append((trial, treatment, self._copy(treatment)))
            except Refused as error:
                refused.append(dataclasses.replace(trial, refused=str(error)))
            except (TypeError, ValueError) as error:
                # A layer that does not take such an argument says why.
                said = f"{type(error).__name__}: {str(error).rstrip('.')}"
                refused.append(dataclasses.replace(trial, refused=said))
        return copies, refused

    def _start(self, as_it_is: Copy) -> tuple[float, dict[int, np.ndarray], str]:
        """The loss of the model as given; the first values; and what they are."""
        model, start = self._subject.model, self._options.start
        drawn = {
            id(a): np.array(keras.ops.convert_to_numpy(b)) for a, b in as_it_is.pairs
        }
        now = {
            id(a): np.array(keras.ops.convert_to_numpy(a)) for a, _ in as_it_is.pairs
        }
        steps = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
        finite = all(
            np.all(np.isfinite(v)) for v in now.values() if v.dtype.kind == "f"
        )
        as_it_is.start(now)
        given = self._evaluate(as_it_is.model)
        if start == "weights" or (start == "auto" and not steps and finite):
            return given, now, "from the weights of the model"
        # What is not trained, such as statistics of inputs, stays.
        values = {
            id(a): drawn[id(a)] if b.trainable else now[id(a)]
            for a, b in as_it_is.pairs
        }
        said = "from weights drawn anew"
        if start == "auto" and steps:
            said += f", since the model has trained for {steps:,} steps"
        elif start == "auto":
            said += ", since those of the model are not finite"
        return given, values, said

    def _evaluate(self, model: Any) -> float:
        source = self._split.validation
        begun = time.perf_counter()
        found = model.evaluate(
            _batches.Chunk(source, 0, source.epoch), verbose=0, return_dict=True
        )
        _states.reset(model)
        self._compiling += time.perf_counter() - begun
        return float(found["loss"])

    def _train(
        self,
        trial: Trial,
        copy: Copy,
        values: dict[int, np.ndarray],
        share: float | None,
        patience: int | None = None,
    ) -> Trial:
        options = self._options
        copy.start(values)
        course = Course(
            copy.model,
            self._split,
            options.budget.steps_of(self._split.training.epoch),
            share,
            patience,
            options.seed,
        )
        self._compiling += course.compile_seconds
        found = dataclasses.replace(
            trial,
            model=copy.model,
            curve=course.curve,
            step_seconds=course.step_seconds,
            anew=tuple(copy.anew),
            diverged=course.diverged,
        )
        if options.verbose:
            steps = found.diverged or int(course.curve.steps[-1])
            how = "diverged" if found.end is None else f"loss {found.end:.4g}"
            print(f"{found.name}: {how} after {steps:,} steps", flush=True)
        return found
