"""The page: fills its sections into the template."""

from __future__ import annotations

import string
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

from keras_rnnx.tuner.reporting import _tables
from keras_rnnx.tuner.reporting._captions import captions
from keras_rnnx.tuner.reporting._figures import Drawn
from keras_rnnx.tuner.reporting._findings import findings, test_values
from keras_rnnx.tuner.reporting._numbers import (
    count,
    duration,
    runs,
    score,
    with_spread,
)
from keras_rnnx.tuner.reporting._search import Search
from keras_rnnx.tuner.reporting._study import Importances
from keras_rnnx.tuner.reporting._style import PALETTE

HERE = Path(__file__).parent
TITLES = {
    "learning_curves": "Learning curves",
    "parallel_coordinates": "Hyperparameters and scores",
    "importance": "Importance of hyperparameters",
    "quality_vs_parameters": "Quality against size and time",
    "cells": "Cells side by side",
    "workers": "What ran when",
}


class Section(NamedTuple):
    """A section of the page."""

    id: str
    title: str
    html: str


def page(search: Search, drawn: Drawn) -> str:
    """The whole page as text."""
    title = f"Search: {search.task}" if search.task else "Hyperparameter search"
    parts = [part for part in _sections(search, drawn) if part.html]
    links = (f'<a href="#{part.id}">{escape(part.title)}</a>' for part in parts)
    template = string.Template((HERE / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title),
        heading=escape(search.task or "Hyperparameter search"),
        description=_paragraph(search.description, "lead"),
        method=escape(_method(search)),
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        light=_variables(0),
        dark=_variables(1),
        facts=_facts(search),
        findings="".join(map(_paragraph, findings(search))),
        contents="\n".join(links),
        sections="\n".join(map(_section, parts)),
    )


def _section(part: Section) -> str:
    head = f"<h2>{escape(part.title)}</h2>"
    return f'<section id="{part.id}">{head}{part.html}</section>'


def _sections(search: Search, drawn: Drawn) -> Iterator[Section]:
    importances = drawn.importances
    order = (
        [row.name for row in importances.rows]
        if isinstance(importances, Importances)
        else []
    )
    if search.trials:
        board = _tables.shared(search) + _tables.leaderboard(search, order)
        yield Section("leaderboard", "Leaderboard", board)
    below = captions(search, importances)
    for name, title in TITLES.items():
        html = _figure(name, title, below[name], drawn)
        if name == "quality_vs_parameters":
            other = "quality_vs_seconds"
            html += _figure(other, "Quality against time", below[other], drawn)
            html = f'<div class="pair">{html}</div>'
        yield Section(name.replace("_", "-"), title, html)
        if name == "learning_curves" and search.trials:
            yield Section("stopped", "What ended early", _tables.endings(search))
    yield Section("best-model", "The best model", _best(search))
    yield Section("again", "How to run it again", _again(search))


def _figure(name: str, title: str, caption: str, drawn: Drawn) -> str:
    if name in drawn.why:
        return _paragraph(drawn.why[name], "note")
    if name not in drawn.svg:
        return ""
    svg = drawn.svg[name].replace(
        "<svg", f'<svg role="img" aria-label="{escape(title)}"', 1
    )
    file = f'<a href="figures/{name}.png">PNG</a>'
    return (
        f'<figure class="{name.replace("_", "-")}">'
        f'<div class="scroll" tabindex="0">{svg}</div>'
        f"<figcaption>{escape(caption)} {file}</figcaption></figure>"
    )


def _facts(search: Search) -> str:
    best, facts = search.best, []
    if best is not None:
        facts.append((f"best {search.objective}", score(best.score)))
        if best.mean is not None:
            name = f"over {count(len(best.seeds), 'seed')}"
            facts.append((name, with_spread(best.mean, best.spread)))
        for name, value in (search.test or {}).items():
            several = test_values(search, name)
            shown = runs(several) if len(several) > 1 else score(value)
            facts.append((f"test {name}", shown))
    facts.append(("trials", f"{len(search.trials):,}"))
    if search.seconds:
        facts.append(("search time", duration(search.seconds)))
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in facts
    )


def _method(search: Search) -> str:
    parts = [f"{search.tuner} search" if search.tuner else ""]
    parts += [f"stopping: {search.stopping}" if search.stopping else ""]
    parts += [f"at most {search.max_epochs} epochs" if search.max_epochs else ""]
    parts += [f"{search.backend} backend" if search.backend else ""]
    return " · ".join(filter(None, parts))


def _best(search: Search) -> str:
    best = search.best
    if best is None:
        return _paragraph("There is none: no trial completed with a score.", "note")
    parts = [f"<h3>Hyperparameters of trial {best.trial}</h3>"]
    parts.append(_tables.pairs(best.values.items()))
    if search.explain:
        parts.append("<h3>Which engine runs it</h3>" + _text(search.explain))
    if search.code:
        parts.append("<h3>Code to build it</h3>" + _text(search.code, copied=True))
    return "".join(parts)


def _again(search: Search) -> str:
    parts = []
    if search.command:
        parts.append(_text(search.command, "command", copied=True))
    if search.versions:
        parts.append("<h3>Versions</h3>" + _tables.pairs(search.versions.items()))
    return "".join(parts)


def _text(text: str, classes: str = "", copied: bool = False) -> str:
    attributes = f' class="{classes}"' if classes else ""
    attributes += " data-copy" if copied else ""
    return f'<pre tabindex="0"{attributes}>{escape(text.rstrip())}</pre>'


def _paragraph(text: str | None, classes: str = "") -> str:
    attribute = f' class="{classes}"' if classes else ""
    return f"<p{attribute}>{escape(text)}</p>" if text else ""


def _variables(theme: int) -> str:
    return " ".join(f"--{name}: {both[theme]};" for name, both in PALETTE.items())
