"""A diagram of a step of a cell, drawn from what the cell declares, as SVG.

Left the inputs and the states before the step, in the middle the gates with what each
of them multiplies, right the update and the states after it. There is no background,
and the ink is between black and white, so that it can be read on light and dark pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from keras_rnnx.cells import Cell

INK = "#7a7a7a"
# Of Okabe and Ito: what a gate sees.
COLOURS = {"both": "#0072B2", "inputs": "#009E73", "state": "#D55E00"}
LEFT, MIDDLE, UPDATE, RIGHT = 45, 150, 435, 585
WIDTH, ROW, HALF = 640, 40, 14
GATE_WIDTH = 190


def diagram(cell: Cell) -> str:
    """The diagram of a cell.

    Args:
        cell: one that is built.

    Returns:
        The text of an SVG file.
    """
    states = list(cell.state_names)
    rows = max(len(cell.gates), len(states) + 1)
    height = rows * ROW + 64
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" role="img" font-family="DejaVu Sans, Helvetica, Arial, '
            f'sans-serif" font-size="13" fill="{INK}">',
            f"<title>A step of {escape(type(cell).__name__)}</title>",
            '<defs><marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" '
            'markerWidth="6" markerHeight="6" orient="auto">'
            f'<path d="M0 0 L6 3 L0 6 z" fill="{INK}"/></marker></defs>',
            *_parts(cell, states, rows),
            "</svg>\n",
        ]
    )


def _parts(cell: Cell, states: list[str], rows: int) -> Iterator[str]:
    left = dict(zip(["x", *states], _heights(len(states) + 1, rows)))
    right = dict(zip(states, _heights(len(states), rows)))
    gates = dict(zip(cell.gates, _heights(len(cell.gates), rows)))
    middle = 40 + (rows - 1) * ROW / 2
    output = states[0]
    yield _text(LEFT, 14, "before", size=11)
    yield _text(MIDDLE + GATE_WIDTH / 2, 14, "gates", size=11)
    yield _text(UPDATE + 30, 14, "equation", size=11)
    yield _text(RIGHT, 14, "after", size=11)
    # Lines first: boxes stand on them.
    for gate, y in gates.items():
        sees = seen(cell, gate)
        if sees != "state":
            yield _line(LEFT + 22, left["x"], MIDDLE, y)
        if sees != "inputs" and gate not in cell.late:
            yield _line(LEFT + 22, left[output], MIDDLE, y)
        yield _line(MIDDLE + GATE_WIDTH, y, UPDATE, middle)
        if gate in cell.late:
            yield _back(UPDATE, middle, MIDDLE + GATE_WIDTH, y)
    bottom = 40 + rows * ROW
    for state in states:
        yield _line(UPDATE + 60, middle, RIGHT - 22, right[state])
    yield (
        f'<path d="M{LEFT} {left[states[-1]] + HALF} L{LEFT} {bottom} L{UPDATE + 30} '
        f'{bottom} L{UPDATE + 30} {middle + 24}" fill="none" stroke="{INK}" '
        f'stroke-opacity="0.55" marker-end="url(#tip)"/>'
    )
    yield _text(MIDDLE + GATE_WIDTH / 2, bottom - 5, "the states themselves", size=11)
    for name, y in left.items():
        yield _circle(LEFT, y, name)
    for state, y in right.items():
        yield _circle(RIGHT, y, f"{state}'")
    for gate, y in gates.items():
        color = COLOURS[seen(cell, gate)]
        dashed = ' stroke-dasharray="5 3"' if gate in cell.late else ""
        yield (
            f'<rect x="{MIDDLE}" y="{y - HALF}" width="{GATE_WIDTH}" '
            f'height="{2 * HALF}" rx="5" fill="{color}" fill-opacity="0.12" '
            f'stroke="{color}"{dashed}/>'
        )
        yield _text(MIDDLE + 26, y + 5, gate, weight="bold")
        yield _text(MIDDLE + 118, y + 5, product(cell, gate), size=12)
    yield (
        f'<rect x="{UPDATE}" y="{middle - 24}" width="60" height="48" rx="8" '
        f'fill="{INK}" fill-opacity="0.15" stroke="{INK}"/>'
    )
    yield _text(UPDATE + 30, middle + 5, "update", size=12)


def seen(cell: Cell, gate: str) -> str:
    """What a gate sees: "inputs", "state" or "both"."""
    if gate in cell.inputs_only:
        return "inputs"
    return "state" if gate in cell.states_only else "both"


def product(cell: Cell, gate: str) -> str:
    """What a gate multiplies, as text."""
    sees = seen(cell, gate)
    inputs = "W x" if cell.window <= 1 else f"W [x of {cell.window} steps]"
    state = cell.state_names[0]
    of_state = f"u \u2299 {state}" if cell.diagonal else f"U {state}"
    if gate in cell.late:
        of_state = "U (update)"
    parts = {"inputs": [inputs], "state": [of_state], "both": [inputs, of_state]}[sees]
    return " + ".join([*parts, "b"] if cell.use_bias else parts)


def _heights(count, rows):
    gap = rows / count
    return [40 + (gap * (k + 0.5) - 0.5) * ROW for k in range(count)]


def _text(x, y, text, size=13, weight="normal"):
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="middle" font-size="{size}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )


def _circle(x, y, name):
    width = max(22, 4.5 * len(name) + 8)
    return (
        f'<rect x="{x - width:g}" y="{y - HALF:g}" width="{2 * width:g}" '
        f'height="{2 * HALF}" rx="{HALF}" fill="{INK}" fill-opacity="0.15" '
        f'stroke="{INK}"/>' + _text(x, y + 5, name)
    )


def _line(x1, y1, x2, y2):
    bend = (x2 - x1) * 0.5
    return (
        f'<path d="M{x1:g} {y1:g} C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} '
        f'{x2:g} {y2:g}" fill="none" stroke="{INK}" stroke-opacity="0.55" '
        f'marker-end="url(#tip)"/>'
    )


def _back(x1, y1, x2, y2):
    """From the equation back to a gate, below the line to it."""
    return (
        f'<path d="M{x1:g} {y1 + 12:g} C{x1 - 40:g} {y1 + 20:g} {x2 + 40:g} '
        f'{y2 + 10:g} {x2:g} {y2 + 8:g}" fill="none" stroke="{INK}" '
        f'stroke-opacity="0.55" stroke-dasharray="4 3" marker-end="url(#tip)"/>'
    )
