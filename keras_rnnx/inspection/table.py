"""Lists of rows that print as a table."""

from __future__ import annotations

import html
import io
import shutil
from typing import Any, ClassVar

import rich.box
import rich.cells
import rich.console
import rich.table
import rich.text

# Largest number of characters of a name that stays on one line, and of a word.
NAME, WORD = 32, 12


class Table(list):
    """A list of named tuples that shows as a table, in terminals and notebooks.

    Attributes:
        empty: the text that is shown without rows.
    """

    empty: ClassVar[str] = "Nothing."

    def __rich_console__(
        self, console: rich.console.Console, options: rich.console.ConsoleOptions
    ) -> rich.console.RenderResult:
        yield self._made(options.max_width) if self else self.empty

    def _made(self, width: int) -> rich.table.Table:
        """The table, in lines of at most so many characters."""
        table = rich.table.Table(box=rich.box.ASCII2)
        names = self[0]._fields
        rows = [_cells(row) for row in self]
        longest = [
            max(map(rich.cells.cell_len, column)) for column in zip(names, *rows)
        ]
        # rich cuts text that does not fit, so the columns must fit: each has a border
        # and two spaces.
        widths = _fitting(longest, width - 3 * len(names) - 1)
        for name, least in zip(names, widths):
            table.add_column(name, overflow="fold", width=least)
        for row in rows:
            table.add_row(*map(rich.text.Text, row))
        return table

    def __repr__(self) -> str:
        width = max(shutil.get_terminal_size((110, 0)).columns, 80)
        console = rich.console.Console(
            file=io.StringIO(), color_system=None, width=width
        )
        console.print(self)
        return console.file.getvalue().rstrip("\n")

    __str__ = __repr__

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{html.escape(self.empty)}</p>"
        rows = [("th", self[0]._fields), *(("td", _cells(row)) for row in self)]
        lines = (
            "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
            for tag, cells in rows
        )
        return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cells(row: tuple[Any, ...]) -> list[str]:
    yes = {True: "yes", False: "no"}
    return [yes[cell] if isinstance(cell, bool) else str(cell) for cell in row]


def _fitting(longest: list[int], width: int) -> list[int]:
    """Widths of columns that fit into so many characters.

    First the widest columns shrink, then the first: names should stay on one line,
    reasons may take several.
    """
    first, *others = longest
    caps = [(NAME, level) for level in range(max(longest), WORD, -1)]
    caps += [(name, WORD) for name in range(NAME, WORD, -1)]
    caps += [(level, level) for level in range(WORD, 0, -1)]
    for name, level in caps:
        widths = [min(n, level) for n in others]
        if min(first, name) + sum(widths) <= width:
            break
    return [max(1, min(first, width - sum(widths))), *widths]
