"""Parses docstrings of cells, and makes docstrings of layers from them."""

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
# The default at the end of the text about an argument.
_DEFAULT = re.compile(r"\s*Default (\"[^\"]*\"|[-\w.]+?)\.$")
SPAN = re.compile(r"`([^`]+)`")
_PRIMED = re.compile(r"^\w+' = ")
# Consecutive equations, with at most a word between them.
_RUN = re.compile(r"`[^`]+`(?:,? (?:and |with |where )?`[^`]+`)*")


class CellText(NamedTuple):
    """The docstring of a cell, in parts.

    Attributes:
        summary: its first line.
        body: the paragraphs after it, up to the sections, each on one line.
        arguments: the text of `Args` about each argument, by name, on one line.
        equations: the equations in backticks in `summary` and `body`.
    """

    summary: str
    body: tuple[str, ...]
    arguments: dict[str, str]
    equations: tuple[str, ...]


def cell_text(cls: type[Any]) -> CellText:
    """Parses the docstring of a cell class.

    Args:
        cls: the class. Docstrings of base classes are not used.
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
    """The text about each argument in a class's docstring, by name, on one line."""
    return _arguments(_sections(cls)[1].get("Args", ""))


def without_default(meaning: str) -> str:
    """The text about an argument, without its default."""
    return _DEFAULT.sub("", meaning)


def shown(value: Any) -> str:
    """The default of an argument, as a user would write it."""
    if isinstance(value, dict) and "class_name" in value:
        config = value.get("config", {}).items()
        arguments = ", ".join(f"{k}={v!r}" for k, v in config if v is not None)
        return f"{value['class_name'].split('>')[-1]}({arguments})"
    if isinstance(value, keras.initializers.Initializer):
        return type(value).__name__
    # The representation of a function contains its address.
    return getattr(value, "__name__", repr(value))


def with_arguments(
    doc: str, signature: inspect.Signature, meanings: Mapping[str, str]
) -> str:
    """A docstring with a section about the arguments.

    Args:
        doc: the docstring, without that section.
        signature: the arguments, with their defaults.
        meanings: the text about each argument, by name. A default at its end is
            replaced by that of the signature.
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


def _starred(parameter: inspect.Parameter) -> str:
    return "**" * (parameter.kind is parameter.VAR_KEYWORD) + parameter.name


def is_equation(span: str) -> bool:
    """Whether a text in backticks is an equation: `h' = h`, and not `depth=2`."""
    return bool(re.search(r"(?<![<>]) = ", span))


def parted(paragraph: str) -> list[str | list[str]]:
    """Separates the equations that define states from the text of a paragraph.

    Args:
        paragraph: on one line.

    Returns:
        Texts and lists of equations, in their order. Consecutive equations, with a word
        such as "with" between them, are one list if one of them defines a new state,
        as `h' = ...`; other equations stay in the text.
    """
    parts: list[str | list[str]] = []
    at = 0
    for run in _RUN.finditer(paragraph):
        spans = list(itertools.takewhile(_equal, SPAN.finditer(run[0])))
        equations = [span[1] for span in spans]
        if any(map(_PRIMED.match, equations)):
            parts += [paragraph[at : run.start()].strip(), equations]
            at = run.start() + spans[-1].end()
    text = paragraph[at:].strip()
    parts.append(re.sub(r"^[.,;:] ?", "", text) if parts else text)
    return [part for part in parts if part and part != "."]


def _sections(cls: type) -> tuple[str, dict[str, str]]:
    """The text before the sections, and the sections by title."""
    doc = inspect.cleandoc(vars(cls).get("__doc__") or "")
    about, *sections = _SECTION.split(doc)
    return about, dict(zip(sections[::2], sections[1::2]))


def _equal(span: re.Match[str]) -> bool:
    return is_equation(span[1])


def _arguments(text: str) -> dict[str, str]:
    meanings = {}
    for entry in re.split(r"\n(?=\S)", textwrap.dedent(text).strip()):
        names, _, meaning = entry.partition(":")
        for name in names.split(","):
            meanings[name.strip()] = " ".join(meaning.split())
    return meanings
