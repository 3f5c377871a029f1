"""The docstring of a cell, taken apart."""

from __future__ import annotations

import inspect
import itertools
import re
import textwrap
from typing import NamedTuple

_SECTION = re.compile(r"^(Args|Returns|Raises|Example|Attributes):$", re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")
_ARXIV = re.compile(r"((?:et al\.|[^;.])*)\barXiv:(\d{4}\.\d{4,5})")
_PRIMED = re.compile(r"^\w+' = ")
# Equations on end, with no more than a word between them.
_RUN = re.compile(r"`[^`]+`(?:,? (?:and |with |where )?`[^`]+`)*")


class CellText(NamedTuple):
    """What the docstring of a cell says.

    Attributes:
        summary: its first line.
        body: the paragraphs behind it, up to the sections, but `use`; each on one line.
        use: when to use the cell: the paragraph that begins with "For ", or "".
        arguments: by name what `Args` says about each, in one line.
        arxiv: number at arXiv of the paper in `cls.paper`, or None.
        equations: the equations, as they stand in backticks in `summary` and `body`.
    """

    summary: str
    body: tuple[str, ...]
    use: str
    arguments: dict[str, str]
    arxiv: str | None
    equations: tuple[str, ...]


def cell_text(cls: type) -> CellText:
    """Takes the docstring of a cell class apart.

    Args:
        cls: the class. One without a docstring of its own has none.
    """
    doc = inspect.cleandoc(vars(cls).get("__doc__") or "")
    sections = _SECTION.split(doc)
    summary, *body = [
        " ".join(paragraph.split()) for paragraph in sections[0].split("\n\n")
    ]
    body = [paragraph for paragraph in body if paragraph]
    use = [paragraph for paragraph in body if paragraph.startswith("For ")]
    body = [paragraph for paragraph in body if paragraph not in use]
    by_section = dict(zip(sections[1::2], sections[2::2]))
    about = " ".join([summary, *body])
    # A docstring may name other papers too.
    author = (cls.paper or "?").split()[0]
    arxiv = [number for names, number in _ARXIV.findall(about) if author in names]
    return CellText(
        summary,
        tuple(body),
        " ".join(use),
        _arguments(by_section.get("Args", "")),
        arxiv[0] if arxiv else None,
        tuple(span for span in SPAN.findall(about) if is_equation(span)),
    )


def is_equation(span: str) -> bool:
    """Whether what stands in backticks is an equation: `h' = h`, and not `depth=2`."""
    return bool(re.search(r"(?<![<>]) = ", span))


def parted(paragraph: str) -> list[str | list[str]]:
    """A paragraph with the equations that define its states apart from the text.

    Args:
        paragraph: in one line.

    Returns:
        Texts, and lists of equations, in their order. Equations on end, with a word
        such as "with" between them, are one list if one of them defines a new state,
        as `h' = ...`; others stay in the text.
    """
    found, at = [], 0
    for run in _RUN.finditer(paragraph):
        spans = list(itertools.takewhile(_equal, SPAN.finditer(run[0])))
        equations = [span[1] for span in spans]
        if any(map(_PRIMED.match, equations)):
            found += [paragraph[at : run.start()].strip(), equations]
            at = run.start() + spans[-1].end()
    rest = paragraph[at:].strip()
    found.append(re.sub(r"^[.,;:] ?", "", rest) if found else rest)
    return [part for part in found if part and part != "."]


def _equal(span):
    return is_equation(span[1])


def _arguments(text):
    found = {}
    for entry in re.split(r"\n(?=\S)", textwrap.dedent(text).strip()):
        names, _, meaning = entry.partition(":")
        for name in names.split(","):
            found[name.strip()] = " ".join(meaning.split())
    return found
