"""The output of `keras-rnnx tasks`: all tasks, or one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import rich.console
import rich.padding
import rich.text

from keras_rnnx import datasets
from keras_rnnx.datasets.facts import FACTS, Figure
from keras_rnnx.inspection.table import Table

# The number of examples of a task, and of their steps, that are shown.
EXAMPLES, STEPS = 3, 60


class TaskRow(NamedTuple):
    """One row of the list of tasks."""

    name: str
    kind: str
    sizes: str
    steps: str
    metric: str
    baseline: str
    published: str


class PublishedRow(NamedTuple):
    """One published result."""

    method: str
    metric: str
    value: str
    source: str


class _Tasks(Table):
    empty = "No tasks."


def listing() -> Table:
    """All registered tasks; for tasks of users only the names."""
    return _Tasks(map(_row, datasets.list_tasks()))


def _row(name: str) -> TaskRow:
    facts = FACTS.get(name)
    if facts is None:
        return TaskRow(name, *[""] * (len(TaskRow._fields) - 1))
    baseline, best = facts.baseline, facts.best
    shown = [figure for figure in (best, baseline) if figure]
    return TaskRow(
        name,
        facts.kind,
        _sizes(facts.sizes),
        _lengths(facts.lengths) if facts.lengths else "",
        shown[0].metric if shown else "",
        _value(baseline) if baseline else "",
        f"{_value(best)} {best.method}" if best else "",
    )


def _sizes(sizes: Iterable[int]) -> str:
    return " / ".join(f"{size:,}" for size in sizes)


def _lengths(lengths: tuple[int, int]) -> str:
    return str(lengths[0]) if lengths[0] == lengths[1] else f"{lengths[0]}-{lengths[1]}"


def _value(figure: Figure) -> str:
    return f"{figure.value:.4g}"


def about(task: datasets.Task) -> rich.console.Group:
    """One task: its data, the results of trivial and published methods, examples."""
    return rich.console.Group(*_lines(task))


def _lines(task: datasets.Task) -> Iterator[Any]:
    yield rich.text.Text(f"{task.name}: {task.description}", style="bold")
    kind: Any = task.kind
    yield rich.text.Text(f"kind: {kind}, {datasets.KINDS[kind].description}")
    unit = "tokens" if task.kind == "language_model" else "sequences"
    sizes = _sizes([len(part.x) for part in task.parts])
    yield rich.text.Text(f"{unit} for training, validation and test: {sizes}")
    if task.kind != "language_model":
        lengths = [len(row) for part in task.parts for row in part.x]
        yield rich.text.Text(f"steps: {_lengths((min(lengths), max(lengths)))}")
    read = (
        f"{task.tokens:,} tokens"
        if task.features is None
        else (f"{task.features} feature{'s' * (task.features > 1)}")
    )
    yield rich.text.Text(f"a step: {read}; outputs of a model: {task.outputs:,}")
    if task.baseline:
        figure = task.baseline
        yield rich.text.Text(
            f"baseline: {figure.method}, {figure.metric} {_value(figure)}"
        )
    if task.published:
        yield rich.text.Text("published:")
        yield Table(
            PublishedRow(f.method, f.metric, _value(f), f.source)
            for f in task.published
        )
    yield rich.text.Text("examples:")
    for text in _examples(task):
        yield rich.padding.Padding(rich.text.Text(text), (0, 0, 0, 2))


def _examples(task: datasets.Task) -> Iterator[str]:
    x, y = task.train
    if task.kind == "language_model":
        vocabulary: Any = task.vocabulary
        yield _cut(vocabulary.decode(x[: 2 * STEPS]), 4 * STEPS)
        return
    for row in range(min(EXAMPLES, len(x))):
        target = _target(task, y[row])
        yield f"{_sequence(task, x[row])} -> {target}"


def _sequence(task: datasets.Task, row: Any) -> str:
    if task.vocabulary is not None:
        return repr(_cut(task.vocabulary.decode(row)))
    return _shown(row)


def _target(task: datasets.Task, target: Any) -> str:
    vocabulary = task.target_vocabulary
    if vocabulary is None:
        return _shown(target)
    if np.ndim(target) == 0:
        return repr(vocabulary.tokens[int(target)])
    if task.kind == "tagging":
        return _cut(" ".join(vocabulary.tokens[int(tag)] for tag in target))
    return repr(_cut(vocabulary.decode(target)))


def _shown(values: Any) -> str:
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] > 4:
        return f"{values.shape[0]} steps of {values.shape[1]}"
    shown = np.array2string(
        values, precision=3, threshold=8, edgeitems=2, suppress_small=True
    )
    return " ".join(shown.split())


def _cut(text: str, most: int = STEPS) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
