"""Tables of a page, and lists of names and values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from keras_rnnx._pages.numbers import shortened, text


class Cell(NamedTuple):
    """The HTML of a table cell, and its CSS classes."""

    html: str
    classes: str = ""


def pairs(values: Iterable[tuple[str, object]]) -> str:
    """Names and their values."""
    rows = "".join(
        f"<div><dt>{escape(str(name))}</dt><dd>{escape(text(value))}</dd></div>"
        for name, value in values
    )
    return f'<dl class="pairs">{rows}</dl>'


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]], best: int | None) -> str:
    """A table that scrolls if it is wider than the page."""
    rows = list(rows)
    classes = [cell.classes for cell in rows[0]]
    columns = "".join(
        f'<th scope="col" class="{c}">{escape(shortened(text(name), 40))}</th>'
        for name, c in zip(head, classes)
    )
    body = "".join(
        f"<tr{' class=best' if number == best else ''}>"
        + "".join(f'<td class="{c.classes}">{c.html}</td>' for c in row)
        + "</tr>"
        for number, row in enumerate(rows)
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{columns}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def folded(summary: str, content: str, opened: bool = False) -> str:
    """Content that is shown by a click on its summary."""
    attribute = " open" if opened else ""
    return (
        f"<details{attribute}><summary>{escape(summary)}</summary>{content}</details>"
    )
