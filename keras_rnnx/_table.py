"""Lists of rows that print as a table."""

from __future__ import annotations

import html
import io
import shutil
from typing import ClassVar

import rich.box
import rich.console
import rich.table
import rich.text


class Table(list):
    """A list of named tuples that shows as a table, in terminals and notebooks.

    Attributes:
        empty: what is shown without rows.
    """

    empty: ClassVar[str] = "Nothing."

    def __rich__(self):
        if not self:
            return self.empty
        table = rich.table.Table(box=rich.box.ASCII2)
        for index, name in enumerate(self[0]._fields):
            # Names are to stand on one line, reasons may take several.
            longest = max(len(_cells(row)[index]) for row in self)
            least = min(longest, 32) if index == 0 else None
            table.add_column(name, overflow="fold", min_width=least)
        for row in self:
            table.add_row(*(rich.text.Text(cell) for cell in _cells(row)))
        return table

    def __repr__(self):
        width = max(shutil.get_terminal_size((110, 0)).columns, 80)
        console = rich.console.Console(
            file=io.StringIO(), color_system=None, width=width
        )
        console.print(self.__rich__())
        return console.file.getvalue().rstrip("\n")

    __str__ = __repr__

    def _repr_html_(self):
        if not self:
            return f"<p>{html.escape(self.empty)}</p>"
        rows = [("th", self[0]._fields), *(("td", _cells(row)) for row in self)]
        lines = (
            "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
            for tag, cells in rows
        )
        return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cells(row):
    yes = {True: "yes", False: "no"}
    return [yes[cell] if isinstance(cell, bool) else str(cell) for cell in row]
