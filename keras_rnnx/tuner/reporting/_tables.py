"""Tables of the page: the leaderboard, early endings, the best model."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from keras_rnnx._pages.numbers import (
    count,
    score,
    shortened,
    text,
    with_spread,
)
from keras_rnnx._pages.tables import Cell, folded, table
from keras_rnnx.tuner.reporting._findings import saved_epochs
from keras_rnnx.tuner.reporting._search import NUMBER, Search, Trial

VISIBLE, MAIN, LISTED, REASON = 20, 4, 10, 140


def leaderboard(search: Search, order: list[str]) -> str:
    """A table of all trials; only the first ones are visible.

    Args:
        search: the search.
        order: names of hyperparameters, the most important first, or none.
    """
    rank = {name: place for place, name in enumerate(order)}
    common = [name for name in search.common if name != "cell"]
    main = sorted(common, key=lambda name: rank.get(name, len(rank)))[:MAIN]
    main = [name for name in search.names if name in main]
    cells = [_row(search, trial, main) for trial in search.trials]
    # Empty columns are left out.
    kept = [
        i for i, name in enumerate(cells[0]) if any(row[name].html for row in cells)
    ]
    head = [list(cells[0])[i] for i in kept]
    rows = [[list(row.values())[i] for i in kept] for row in cells]
    best = None if search.best is None else search.trials.index(search.best)
    tables = table(head, rows[:VISIBLE], best)
    if len(rows) > VISIBLE:
        summary = f"The other {count(len(rows) - VISIBLE, 'trial')}"
        tables += folded(summary, table(head, rows[VISIBLE:], None))
    return tables


def _row(search: Search, trial: Trial, main: list[str]) -> dict[str, Cell]:
    def number(value: Any, form: Callable[[Any], str] = text) -> Cell:
        return Cell("" if value is None else escape(form(value)), "number")

    values = trial.values
    others = [n for n in search.varying if n in values and n not in (*main, "cell")]
    scored = "" if trial.score is None else score(trial.score)
    return {
        "Rank": number(trial.rank),
        "Trial": number(trial.trial),
        "Status": Cell(status(trial.status)),
        "Cell": Cell(escape(text(trial.cell or "")), "name"),
        **{name: _value(values.get(name)) for name in main},
        search.objective: Cell(scored, "number strong"),
        "Mean ± spread": Cell(with_spread(trial.mean, trial.spread), "number"),
        "Best epoch": number(trial.best_epoch),
        "Epochs": number(trial.epochs),
        "Parameters": number(trial.parameters),
        "Seconds": number(trial.seconds, lambda value: f"{value:,.1f}"),
        "Step (ms)": number(trial.step_ms, lambda value: f"{value:.3g}"),
        "Latency (ms)": number(trial.latency_ms, lambda value: f"{value:.3g}"),
        "Other hyperparameters": Cell(_pairs(others, values), "wide"),
        "Reason": Cell(escape(_reason(trial)), "wide"),
    }


def _value(value: Any) -> Cell:
    if value is None:
        return Cell("")
    shown = shortened(text(value), 40)
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    return Cell(escape(shown), "number" if numeric else "name")


def _pairs(names: Iterable[str], values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{escape(name)}&nbsp;<b>{escape(shortened(text(values[name]), 40))}</b>"
        for name in names
    )


def _reason(trial: Trial) -> str:
    last = trial.message.strip().splitlines()[-1:] if trial.message else []
    parts = filter(None, [trial.reason, *last])
    return shortened(text(": ".join(parts)), REASON)


def status(name: str) -> str:
    """The status of a trial, with its colour."""
    return f'<span class="status {escape(name)}">{escape(name)}</span>'


def shared(search: Search) -> str:
    """A sentence with the hyperparameters that are the same in all trials."""
    if not search.shared or len(search.trials) < 2:
        return ""
    pairs = _pairs(search.shared, search.shared)
    return f'<p class="note">The same in all trials: {pairs}.</p>'


def endings(search: Search) -> str:
    """Trials that did not complete: counted by kind of reason, then one by one."""
    ended = [t for t in search.trials if t.status not in ("completed", "running")]
    if not ended:
        return "<p>Every trial ran to its end.</p>"
    kinds = collections.defaultdict(list)
    for trial in ended:
        kinds[trial.status, trial.kind].append(trial)
    order = sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0]))
    rows = [
        [
            Cell(status(name)),
            Cell(escape(shortened(text(_ranged(kind, trials)), REASON)), "wide"),
            Cell(f"{len(trials):,}", "number"),
            Cell(f"{sum(t.epochs for t in trials):,}", "number"),
            Cell(
                f"{sum(saved_epochs(search, t) for t in trials):,}"
                if name in ("stopped", "diverged")
                else "",
                "number",
            ),
        ]
        for (name, kind), trials in order
    ]
    head = ["Status", "Why", "Trials", "Epochs run", "Epochs not run"]
    listed = "".join(_ending(trial) for trial in ended)
    opened = len(ended) <= LISTED
    each = folded(
        f"Each of the {count(len(ended), 'trial')}", f"<ul>{listed}</ul>", opened
    )
    return table(head, rows, None) + each


def _ranged(kind: str, trials: list[Trial]) -> str:
    """The reason of a group of trials, each number as the range of its values."""
    if trials[0].status == "failed":  # The name of an error has no numbers.
        return kind
    numbers = [NUMBER.findall(trial.reason or "") for trial in trials]
    ranges = []
    for values in zip(*numbers):
        low, high = min(values, key=_size), max(values, key=_size)
        ranges.append(low if low == high else f"{low} to {high}")
    remaining = iter(ranges)
    return NUMBER.sub(lambda _: next(remaining), trials[0].reason or kind)


def _size(number: str) -> float:
    try:
        return float(number.replace(",", ""))
    except ValueError:  # A date or a version.
        return math.inf


def _ending(trial: Trial) -> str:
    epochs = f" after {count(trial.epochs, 'epoch')}" if trial.epochs else ""
    reason = f": {escape(text(trial.reason))}" if trial.reason else ""
    message = (
        f'<pre tabindex="0">{escape(trial.message.strip())}</pre>'
        if trial.message
        else ""
    )
    name = status(trial.status)
    return f"<li>Trial {trial.trial} {name}{epochs}{reason}{message}</li>"
