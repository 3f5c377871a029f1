"""The page of a report: findings first, then figures and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from keras_rnnx._pages import style
from keras_rnnx._pages.numbers import count, duration, score
from keras_rnnx._pages.page import Head, Section, code, figure, paragraph
from keras_rnnx._pages.page import page as whole_page
from keras_rnnx._pages.tables import Cell, table
from keras_rnnx.diagnosis import _panels, _shown
from keras_rnnx.diagnosis.measured import LayerReport
from keras_rnnx.diagnosis.report import Finding, Report

ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
# Columns whose cells are words.
WORDS = ("layer", "cell", "engine", "gates_stuck", "radius")


def page(report: Report) -> str:
    """The whole page as text."""
    found = len(report.findings)
    said = count(found, "finding") if found else "No findings"
    head = Head(
        kind="Diagnosis of a recurrent network",
        title=f"Diagnosis: {report.model}",
        heading=report.model,
        lead=f"{said} on {count(report.samples, 'sequence')}.",
        method=f"keras_rnnx.diagnose took {duration(report.seconds)}. Gradients are "
        f"those of {report.objective}.",
        facts=list(_facts(report)),
        html=_findings(report),
    )
    own = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return whole_page(head, _sections(report), own)


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    objective = report.objective.removeprefix("the ")
    if report.loss is not None:
        yield objective, score(report.loss)
    past, training = report.past, report.training
    if past is not None:
        yield f"{objective} with another past", score(past.exchanged)
        yield f"{objective} with other targets", score(past.unrelated)
    if training is not None:
        norms = training.norms
        shown = f"{norms.min():.3g} to {norms.max():.3g}"
        yield f"gradient norm in {count(len(norms), 'batch', 'batches')}", shown
        if training.clipping is None:
            yield "clipping of gradients", "none"
        else:
            limit = f"{training.clipping}={training.limit:g}"
            yield f"updates that {limit} changes", f"{training.clipped:.0%}"


def _findings(report: Report) -> str:
    if not report.findings:
        return paragraph(
            "Nothing that was measured is beyond the limits of a healthy network.",
            "healthy",
        )
    items = "".join(map(_finding, report.findings))
    return f'<ol class="findings">{items}</ol>'


def _finding(finding: Finding) -> str:
    parts = [f"<h2>{escape(finding.title)}</h2>", paragraph(finding.evidence)]
    parts.append(paragraph(finding.cause, "cause"))
    if finding.cure:
        parts += ["<h3>What helps</h3>", code(finding.cure, "command", copied=True)]
    if finding.paper:
        parts.append(f'<p class="paper">{_linked(finding.paper)}</p>')
    return f"<li>{''.join(parts)}</li>"


def _linked(paper: str) -> str:
    return ARXIV.sub(
        r'<a href="https://arxiv.org/abs/\1" rel="noreferrer">arXiv:\1</a>',
        escape(paper),
    )


def _sections(report: Report) -> Iterator[Section]:
    figures = []
    for panel in _panels.panels(report):
        with style.styled(_panels.STYLE):
            drawn, _ = style.figure(_panels.WIDTH, panel.height, 0)
            panel.draw(drawn)
            svg = style.svg(drawn, panel.name)
        title = f"<h3>{escape(panel.title)}</h3>"
        shown = figure(svg, panel.title, escape(panel.caption), panel.name)
        figures.append(f'<div class="panel" id="{panel.name}">{title}{shown}</div>')
    if figures:
        layers, drawn_layers = len(report.layers), len(_panels.drawn(report))
        note = ""
        if drawn_layers < layers:
            note = paragraph(
                f"The figures show {drawn_layers} of {layers} layers: those with "
                f"findings, then the first ones. The table has all.",
                "note",
            )
        html = f'{note}<div class="panels">{"".join(figures)}</div>'
        yield Section("figures", "Figures", html)
    yield Section("layers", "Layers", _layers(report))
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    yield Section("notes", "Notes", f"<ul>{notes}</ul>" if notes else "")


def _layers(report: Report) -> str:
    if not report.layers:
        return ""
    rows = [_row(layer) for layer in report.layers.values()]
    # Measures that no layer has are left out.
    kept = [name for name in rows[0] if any(row[name] != _shown.NONE for row in rows)]
    cells = [
        [Cell(escape(row[k]), "name" if k in WORDS else "number") for k in kept]
        for row in rows
    ]
    return table([name.replace("_", " ") for name in kept], cells, None)


def _row(layer: LayerReport) -> dict[str, str]:
    """All that the printed tables say of a layer."""
    row: dict[str, str] = {}
    for part in _shown.rows(layer):
        row |= part._asdict()
    return row
