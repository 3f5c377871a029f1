"""What docstrings have of Markdown, as reStructuredText, for autodoc."""

from __future__ import annotations

import re

_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_NAME = re.compile(r"keras_rnnx\.[\w.]+")
_RULE = re.compile(r"^\s*\|(\s*:?-+:?\s*\|)+\s*$")


def _code(text):
    """Code in double backticks. A name of the package keeps single ones, for a link."""

    def shown(match):
        # A line that goes on with a minus would be a list.
        code = " ".join(match[1].split())
        return f"`{code}`" if _NAME.fullmatch(code) else f"``{code}``"

    return _SPAN.sub(shown, text)


def _cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _table(lines):
    """A table of Markdown as a list-table."""
    indent = re.match(r"\s*", lines[0])[0]
    result = ["", f"{indent}.. list-table::", f"{indent}   :header-rows: 1", ""]
    for line in lines:
        if _RULE.match(line):
            continue
        first, *rest = _cells(line)
        result.append(f"{indent}   * - {first}")
        result += [f"{indent}     - {cell}" for cell in rest]
    return [*result, ""]


def _spaced(lines):
    """With an empty line before and after lists, which Markdown does without."""
    result: list[str] = []
    inside = False
    for line in lines:
        item = re.match(r"\s*(?:-|\d+\.) ", line)
        previous = result[-1] if result else ""
        if item and not inside and previous.strip():
            result.append("")
        if item:
            inside = True
            indent = len(item[0]) - len(item[0].lstrip())
        elif line.strip() and len(line) - len(line.lstrip()) <= (
            indent if inside else -1
        ):
            inside = False
            if previous.strip():
                result.append("")
        result.append(line)
    return result


def _converted(app, what, name, obj, options, lines):
    result: list[str] = []
    table: list[str] = []
    # Code may go over the end of a line.
    for line in [*_code("\n".join(lines)).split("\n"), None]:
        if line is not None and line.lstrip().startswith("|"):
            table.append(line)
            continue
        if table:
            result += _table(table)
            table = []
        if line is not None:
            result.append(line)
    lines[:] = _spaced(result)


def setup(app):
    """Connects it before napoleon, which reads the sections."""
    app.connect("autodoc-process-docstring", _converted, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
