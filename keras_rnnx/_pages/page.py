"""A page of its own: what is above its sections, and the sections."""

from __future__ import annotations

import string
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import NamedTuple

from keras_rnnx._pages.style import PALETTE

HERE = Path(__file__).parent


class Section(NamedTuple):
    """A section of a page.

    Attributes:
        id: of the element, for links.
        title: as text.
        html: what is in it; a section without is left out.
    """

    id: str
    title: str
    html: str


class Head(NamedTuple):
    """What is above the sections of a page.

    Attributes:
        kind: what the page is about, in a few words.
        title: of the window.
        heading: of the page.
        lead: a sentence; may be empty.
        method: how it was made; may be empty.
        facts: names and values.
        html: what follows the facts.
    """

    kind: str
    title: str
    heading: str
    lead: str
    method: str
    facts: list[tuple[str, str]]
    html: str


def page(head: Head, sections: Iterable[Section], style: str) -> str:
    """The whole page as text.

    Args:
        head: what is above the sections.
        sections: those without content are left out.
        style: CSS, added to that of all pages.
    """
    parts = [part for part in sections if part.html]
    links = (f'<a href="#{part.id}">{escape(part.title)}</a>' for part in parts)
    template = string.Template((HERE / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        eyebrow=escape(head.kind),
        title=escape(head.title),
        heading=escape(head.heading),
        lead=paragraph(head.lead, "lead"),
        method=paragraph(head.method, "method"),
        style=(HERE / "page.css").read_text(encoding="utf-8") + style,
        light=_variables(0),
        dark=_variables(1),
        facts="".join(map(_fact, head.facts)),
        findings=head.html,
        contents="\n".join(links),
        sections="\n".join(map(_section, parts)),
    )


def _section(part: Section) -> str:
    head = f"<h2>{escape(part.title)}</h2>"
    return f'<section id="{part.id}">{head}{part.html}</section>'


def _fact(fact: tuple[str, str]) -> str:
    name, value = fact
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _variables(theme: int) -> str:
    return " ".join(f"--{name}: {both[theme]};" for name, both in PALETTE.items())


def figure(svg: str, label: str, caption: str, classes: str) -> str:
    """A figure that scrolls if it is wider than the page.

    Args:
        svg: as `style.svg` gives it.
        label: what it shows, for those who can't see it.
        caption: HTML.
        classes: of CSS.
    """
    shown = svg.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)
    return (
        f'<figure class="{classes}">'
        f'<div class="scroll" tabindex="0">{shown}</div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def code(text: str, classes: str = "", copied: bool = False) -> str:
    """Text as it is, such as code.

    Args:
        text: the text.
        classes: of CSS.
        copied: whether a button copies it.
    """
    attributes = f' class="{classes}"' if classes else ""
    attributes += " data-copy" if copied else ""
    return f'<pre tabindex="0"{attributes}>{escape(text.rstrip())}</pre>'


def paragraph(text: str, classes: str = "") -> str:
    """A paragraph; none without text."""
    attribute = f' class="{classes}"' if classes else ""
    return f"<p{attribute}>{escape(text)}</p>" if text else ""
