"""The page: fills its sections into the template."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from keras_rnnx._pages.numbers import (
    count,
    duration,
    runs,
    score,
    with_spread,
)
from keras_rnnx._pages.page import Head, Section, code, figure, paragraph
from keras_rnnx._pages.page import page as whole_page
from keras_rnnx._pages.tables import pairs
from keras_rnnx.tuner.reporting import _tables
from keras_rnnx.tuner.reporting._captions import captions
from keras_rnnx.tuner.reporting._figures import Drawn
from keras_rnnx.tuner.reporting._findings import findings, test_values
from keras_rnnx.tuner.reporting._search import Search
from keras_rnnx.tuner.reporting._study import Importances

HERE = Path(__file__).parent
TITLES = {
    "learning_curves": "Learning curves",
    "parallel_coordinates": "Hyperparameters and scores",
    "importance": "Importance of hyperparameters",
    "quality_vs_parameters": "Quality against size and time",
    "cells": "Cells side by side",
    "workers": "What ran when",
}


def page(search: Search, drawn: Drawn) -> str:
    """The whole page as text."""
    head = Head(
        kind="Hyperparameter search",
        title=f"Search: {search.task}" if search.task else "Hyperparameter search",
        heading=search.task or "Hyperparameter search",
        lead=search.description or "",
        method=_method(search),
        facts=_facts(search),
        html=f'<div class="findings">{"".join(map(paragraph, findings(search)))}</div>',
    )
    own = (HERE / "page.css").read_text(encoding="utf-8")
    return whole_page(head, _sections(search, drawn), own)


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
        return paragraph(drawn.why[name], "note")
    if name not in drawn.svg:
        return ""
    file = f'<a href="figures/{name}.png">PNG</a>'
    below = f"{escape(caption)} {file}"
    return figure(drawn.svg[name], title, below, name.replace("_", "-"))


def _facts(search: Search) -> list[tuple[str, str]]:
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
    return facts


def _method(search: Search) -> str:
    parts = [f"{search.tuner} search" if search.tuner else ""]
    parts += [f"stopping: {search.stopping}" if search.stopping else ""]
    parts += [f"at most {search.max_epochs} epochs" if search.max_epochs else ""]
    parts += [f"{search.backend} backend" if search.backend else ""]
    return " · ".join(filter(None, parts))


def _best(search: Search) -> str:
    best = search.best
    if best is None:
        return paragraph("There is none: no trial completed with a score.", "note")
    parts = [f"<h3>Hyperparameters of trial {best.trial}</h3>"]
    parts.append(pairs(best.values.items()))
    if search.explain:
        parts.append("<h3>Which engine runs it</h3>" + code(search.explain))
    if search.code:
        parts.append("<h3>Code to build it</h3>" + code(search.code, copied=True))
    return "".join(parts)


def _again(search: Search) -> str:
    parts = []
    if search.command:
        parts.append(code(search.command, "command", copied=True))
    if search.versions:
        parts.append("<h3>Versions</h3>" + pairs(search.versions.items()))
    return "".join(parts)
