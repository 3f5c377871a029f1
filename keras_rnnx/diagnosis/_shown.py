"""A report as text: findings first, then the measures by layer."""

from __future__ import annotations

import html as markup
import re
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

from rich.text import Text

from keras_rnnx.diagnosis.measured import LayerReport
from keras_rnnx.diagnosis.report import Finding, Report
from keras_rnnx.inspection.table import Table

WIDTH = 88
# Columns of a table of layers, beside the name.
NONE = "-"


class GradientRow(NamedTuple):
    """How far a layer reaches back, and what happens on the way."""

    layer: str
    cell: str
    steps: str
    factor: str
    horizon: str
    exponent: str
    forgets: str


class StateRow(NamedTuple):
    """What the states of a layer are like."""

    layer: str
    units: str
    directions: str
    dead: str
    constant: str
    saturated: str
    gates_stuck: str


class CostRow(NamedTuple):
    """What a layer costs, and how large its updates are."""

    layer: str
    engine: str
    ms: str
    of_model: str
    update: str
    radius: str


def text(report: Report) -> str:
    """The report, in lines."""
    return "\n".join(map(str, _parts(report)))


def html(report: Report) -> str:
    """The report for notebooks."""
    return f"<pre>{markup.escape(text(report))}</pre>"


def rendered(report: Report, width: int) -> Iterator[Text | Table]:
    """The report for a console of rich, whose tables fill it.

    Args:
        report: the report.
        width: of the console, in characters.
    """
    for part in _parts(report, min(WIDTH, width)):
        if isinstance(part, Table):
            yield part
        else:
            # Titles of findings begin with their number.
            first = re.match(r"\d+\. ", part)
            yield Text(part, "bold" if first else "")


def rows(layer: LayerReport) -> tuple[GradientRow, StateRow, CostRow]:
    """The rows of a layer in the tables."""
    return _gradient_rows(layer), _state_rows(layer), _cost_rows(layer)


def _parts(report: Report, width: int = WIDTH) -> Iterator[str | Table]:
    """Lines and tables."""
    count = len(report.findings)
    found = "no findings" if not count else f"{count} finding{'s' * (count > 1)}"
    value = "" if report.loss is None else f"; {report.objective} is {report.loss:.4g}"
    yield f"{report.model}: {found}, on {report.samples} sequences{value}"
    for number, finding in enumerate(report.findings, 1):
        yield ""
        yield from _finding(number, finding, width)
    for part in zip(*map(rows, report.layers.values())):
        yield ""
        yield Table(part)
    yield from _model(report)
    for note in report.notes:
        yield from _wrapped("note: ", note, width)


def _finding(number: int, finding: Finding, width: int) -> Iterator[str]:
    yield from _wrapped(f"{number}. ", finding.title, width)
    for name in ("evidence", "cause", "cure", "paper"):
        yield from _wrapped(f"   {name + ':':<10}", getattr(finding, name), width)


def _wrapped(first: str, said: str, width: int = WIDTH) -> list[str]:
    indent = " " * len(first)
    lines: list[str] = []
    for line in said.splitlines() or [""]:
        start = first if not lines else indent
        lines += textwrap.wrap(
            line,
            width,
            initial_indent=start,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [start]
    return lines


def _gradient_rows(layer: LayerReport) -> GradientRow:
    gradients, dynamics, memory = layer.gradients, layer.dynamics, layer.memory
    horizon = NONE
    if gradients:
        lags = len(gradients.norms)
        horizon = f"all {lags}" if gradients.horizon is None else str(gradients.horizon)
    forgets = NONE
    if memory:
        forgets = "not" if memory.forgotten is None else str(memory.forgotten)
    return GradientRow(
        layer.name,
        layer.cell,
        str(layer.length),
        _number(gradients.factor if gradients else None),
        horizon,
        _number(float(dynamics.exponents[0]) if dynamics else None),
        forgets,
    )


def _state_rows(layer: LayerReport) -> StateRow:
    states = layer.states
    if states is None:
        return StateRow(layer.name, str(layer.units), *[NONE] * 5)
    stuck = [f"{gate} {share.stuck:.0%}" for gate, share in states.gates.items()]
    return StateRow(
        layer.name,
        str(states.units),
        f"{states.dimensions:.1f}",
        f"{states.dead:.0%}",
        f"{states.constant:.0%}",
        NONE if states.saturated is None else f"{states.saturated:.0%}",
        ", ".join(stuck) or NONE,
    )


def _cost_rows(layer: LayerReport) -> CostRow:
    cost, update, dynamics = layer.cost, layer.update, layer.dynamics
    kernels: dict[str, Any] = dynamics.kernels if dynamics else {}
    radii = [f"{g} {k.radius:.2f}" for g, k in kernels.items() if k.radius is not None]
    seconds = cost.seconds if cost else None
    share = cost.share if cost and seconds is not None else None
    return CostRow(
        layer.name,
        cost.engine if cost else NONE,
        NONE if seconds is None else f"{1e3 * seconds:.1f}",
        NONE if share is None else f"{share:.0%}",
        _number(update.ratio if update else None),
        ", ".join(radii) or NONE,
    )


def _model(report: Report) -> Iterator[str]:
    training, past, curves = report.training, report.past, report.curves
    if training is None and past is None and curves is None:
        return
    yield ""
    if training is not None:
        norms = training.norms
        said = f"{norms.min():.3g} to {norms.max():.3g} in {len(norms)} batches"
        if training.clipping is None:
            said += ", and the optimizer clips none"
        else:
            limit = f"{training.clipping}={training.limit:g}"
            said += f"; {limit} changes {training.clipped:.0%} of them"
        yield from _wrapped("gradient norm: ", said)
    if past is not None:
        said = (
            f"the loss is {past.loss:.4g}, {past.exchanged:.4g} if the inputs before "
            f"the last {past.kept} steps come from other sequences, and "
            f"{past.unrelated:.4g} with the targets of others"
        )
        yield from _wrapped("past: ", said)
    if curves is not None:
        said = (
            f"the training loss goes from {curves.loss[0]:.4g} to "
            f"{curves.loss[-1]:.4g} in {len(curves.loss)} epochs"
        )
        if curves.validation is not None:
            said += (
                f"; the validation loss is {curves.validation[curves.best - 1]:.4g} "
                f"at its best, in epoch {curves.best}, and "
                f"{curves.validation[-1]:.4g} at the end"
            )
        yield from _wrapped("epochs: ", said)


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g}"
