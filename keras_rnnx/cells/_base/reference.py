"""The paper of a cell."""

from __future__ import annotations

from typing import NamedTuple


class Reference(NamedTuple):
    """A paper.

    Attributes:
        authors: their family names, as in "Rusch et al.".
        year: the year of publication.
        arxiv: its number at arXiv, or an empty string.

    Example:

    >>> str(Reference("Rusch et al.", 2022, "2110.04744"))
    'Rusch et al. 2022'
    """

    authors: str
    year: int
    arxiv: str = ""

    def __str__(self) -> str:
        return f"{self.authors} {self.year}"


def references(paper: Reference | tuple[Reference, ...] | str) -> list[Reference]:
    """The references of a cell, from what it declares as `paper`.

    Args:
        paper: one reference or several, or a text that ends in the year.
    """
    if isinstance(paper, Reference):
        return [paper]
    if not isinstance(paper, str):
        return list(paper)
    authors, _, year = paper.rpartition(" ")
    return [Reference(authors, int(year))] if year.isdecimal() else []
