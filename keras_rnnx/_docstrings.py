"""Docstrings of cells, taken apart, and those of layers, put together from them."""

from __future__ import annotations

import inspect
import itertools
import re
import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras

_SECTION = re.compile(
    r"^(Args|Call arguments|Returns|Raises|Example|Attributes):$", re.MULTILINE
)
# What stands beside it as a value.
_DEFAULT = re.compile(r"\s*Default (\"[^\"]*\"|[-\w.]+?)\.$")
SPAN = re.compile(r"`([^`]+)`")
_PRIMED = re.compile(r"^\w+' = ")
# Equations on end, with no more than a word between them.
_RUN = re.compile(r"`[^`]+`(?:,? (?:and |with |where )?`[^`]+`)*")


class CellText(NamedTuple):
    """What the docstring of a cell says.

    Attributes:
        summary: its first line.
        body: the paragraphs behind it, up to the sections, each on one line.
        arguments: by name what `Args` says about each, in one line.
        equations: the equations, as they stand in backticks in `summary` and `body`.
    """

    summary: str
    body: tuple[str, ...]
    arguments: dict[str, str]
    equations: tuple[str, ...]


def cell_text(cls: type[Any]) -> CellText:
    """Takes the docstring of a cell class apart.

    Args:
        cls: the class. One without a docstring of its own has none.
    """
    about, by_section = _sections(cls)
    summary, *body = [" ".join(paragraph.split()) for paragraph in about.split("\n\n")]
    body = [paragraph for paragraph in body if paragraph]
    about = " ".join([summary, *body])
    return CellText(
        summary,
        tuple(body),
        _arguments(by_section.get("Args", "")),
        tuple(span for span in SPAN.findall(about) if is_equation(span)),
    )


def arguments(cls: type[Any]) -> dict[str, str]:
    """By name what the docstring of a class says about each argument, in one line."""
    return _arguments(_sections(cls)[1].get("Args", ""))


def without_default(meaning: str) -> str:
    """What is said about an argument, without the value that it has by default."""
    return _DEFAULT.sub("", meaning)


def shown(value: Any) -> str:
    """The default of an argument, as one would write it."""
    if isinstance(value, dict) and "class_name" in value:
        config = value.get("config", {}).items()
        given = ", ".join(f"{k}={v!r}" for k, v in config if v is not None)
        return f"{value['class_name'].split('>')[-1]}({given})"
    if isinstance(value, keras.initializers.Initializer):
        return type(value).__name__
    # The representation of a function has its address in it.
    return getattr(value, "__name__", repr(value))


def with_arguments(
    doc: str, signature: inspect.Signature, meanings: Mapping[str, str]
) -> str:
    """A docstring with a section that says of each argument what it is.

    Args:
        doc: the docstring, without that section.
        signature: which arguments there are, and their defaults.
        meanings: by name what each is. A default that is said at the end is not
            looked at.
    """
    about, *example = re.split(r"^(?=Example:$)", inspect.cleandoc(doc), flags=re.M)
    lines = []
    for parameter in signature.parameters.values():
        # Docstrings are gone with `python -OO`.
        meaning = meanings.get(parameter.name, "")
        if parameter.default is not parameter.empty:
            meaning = without_default(meaning)
            if not re.search(r"\bDefault\b", meaning):
                meaning += f" Default {shown(parameter.default)}."
        lines += textwrap.wrap(
            f"{_starred(parameter)}: {meaning}",
            width=84,
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    section = "Args:\n" + textwrap.indent("\n".join(lines), "    ")
    return "\n\n".join([about.strip(), section, *example])


def _starred(parameter):
    return "**" * (parameter.kind is parameter.VAR_KEYWORD) + parameter.name


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
    found: list[str | list[str]] = []
    at = 0
    for run in _RUN.finditer(paragraph):
        spans = list(itertools.takewhile(_equal, SPAN.finditer(run[0])))
        equations = [span[1] for span in spans]
        if any(map(_PRIMED.match, equations)):
            found += [paragraph[at : run.start()].strip(), equations]
            at = run.start() + spans[-1].end()
    rest = paragraph[at:].strip()
    found.append(re.sub(r"^[.,;:] ?", "", rest) if found else rest)
    return [part for part in found if part and part != "."]


def _sections(cls):
    """What stands before the sections, and the sections by title."""
    doc = inspect.cleandoc(vars(cls).get("__doc__") or "")
    about, *rest = _SECTION.split(doc)
    return about, dict(zip(rest[::2], rest[1::2]))


def _equal(span):
    return is_equation(span[1])


def _arguments(text):
    found = {}
    for entry in re.split(r"\n(?=\S)", textwrap.dedent(text).strip()):
        names, _, meaning = entry.partition(":")
        for name in names.split(","):
            found[name.strip()] = " ".join(meaning.split())
    return found
