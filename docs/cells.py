"""Writes docs/cells: pages and diagrams of the cells, and an index, from the cells.

    python docs/cells.py            rewrites them
    python docs/cells.py --check    fails if they are not as the code is

Equations come from the docstrings, through docs/notation.py. Nothing depends on the
backend in use. docs/cells/comparison.md is not written here but by a run of
`python -m benchmarks.catalogue`.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import sys

from diagrams import diagram
from notation import tex

from keras_rnnx import cells
from keras_rnnx._docstrings import SPAN, parted
from keras_rnnx.cells._base.arguments import STANDARD
from keras_rnnx.inspection.describe import (
    Description,
    describe,
    search_space,
    searched,
    written,
)
from keras_rnnx.inspection.expected_engine import BACKENDS, DEVICES, expected

FOLDER = pathlib.Path(__file__).with_suffix("")
INDEX = "README.md"
IMAGES = "images"
# Written by other commands.
OTHERS = ("comparison.md",)
FEATURES, UNITS = 64, 128
# Sizes that tell in a shape what counts inputs and what counts units.
SYMBOLS = {13: "features", 16: "units"}
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5}(?:v\d+)?)")
NOTATION = """## Notation

- $`x`$ is the input of a step. $`h`$, $`c`$ and so on are the states before the step. A
  prime marks the states after it. The first state is the output.
- $`a_k = W_k x + U_k h + b_k`$ is the pre-activation of the gate $`k`$.
- Products of vectors are elementwise. $`\\odot`$ says so where it could be read
  otherwise.
- $`\\sigma`$ is the logistic function.
- Another `activation` takes the place of $`\\tanh`$ (or of the rectifier), and another
  `recurrent_activation` the place of $`\\sigma`$."""


def is_code(span: str, found: Description) -> bool:
    """Whether what stands in backticks is a name in Python, and no mathematics."""
    cls = found.info.cls
    names = {"units", *cls.options, *STANDARD, *(row.weight for row in found.weights)}
    root = re.split(r"[.(]", span)[0]
    assigned = re.fullmatch(r"\w+=\S+", span)
    return bool(
        assigned or span in names or root.startswith("keras") or hasattr(cells, root)
    )


def prose(text: str, found: Description) -> str:
    """A paragraph of the docstring in Markdown.

    Args:
        text: the paragraph, in one line.
        found: of the cell.

    Raises:
        ValueError: for an equation that docs/notation.py does not know.
    """
    return "\n\n".join(
        inline(part, found) if isinstance(part, str) else display(part)
        for part in parted(text)
    )


def display(equations: list[str]) -> str:
    """Equations below each other, aligned."""
    rows = []
    for equation in equations:
        left, right = equation.split(" = ", 1)
        rows.append(f"{tex(left)} &= {tex(right)}")
    body = " \\\\\n".join(rows)
    return f"```math\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n```"


def inline(text: str, found: Description) -> str:
    """Text with its mathematics as TeX and its code as code."""

    def shown(match):
        span = match[1]
        return match[0] if is_code(span, found) else f"$`{tex(span)}`$"

    return linked(SPAN.sub(shown, text))


def linked(text: str) -> str:
    """Text whose numbers at arXiv are links."""
    return ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def table(titles: str, rows: list[tuple]) -> str:
    """A table in Markdown."""
    titles = titles.split(", ")
    lines = [titles, ["---"] * len(titles), *rows]
    cut = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in cut)


def symbolic(shape: tuple[int, ...]) -> str:
    """A shape in terms of the numbers of inputs and units."""

    def named(size):
        for one, name in sorted(SYMBOLS.items(), reverse=True):
            if size and size % one == 0:
                return name if size == one else f"{size // one} {name}"
            if 2 * size == one:
                return f"{name} / 2"
        return str(size)

    inner = ", ".join(map(named, shape))
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def engines(found: Description) -> str:
    """The table of engines: by backend and device, with the reason."""
    rows = {}
    for device in DEVICES:
        for backend in BACKENDS:
            both = [
                expected(found.cell, backend, device, training)
                for training in (True, False)
            ]
            whens = ("training", "inference") if both[0] != both[1] else ("both",)
            for when, row in zip(whens, both):
                where = f"{backend}, {device}"
                rows.setdefault((when, f"`{row.engine}`", row.reason), []).append(where)
    return table(
        "backend and device, pass, engine, why",
        [("; ".join(where), *row) for row, where in rows.items()],
    )


def page(name: str) -> str:
    """The page of a cell."""
    found = describe(name, FEATURES, UNITS)
    (features, units) = SYMBOLS
    small = describe(name, features, units)
    text, cls = found.text, found.info.cls
    paper = found.info.paper
    if found.arxiv:
        paper += linked(f", arXiv:{found.arxiv}")
    facts = [("cell", f"`keras_rnnx.cells.{cls.__name__}`")]
    if found.layer:
        facts.append(("layer", f"`keras_rnnx.layers.{found.layer}`"))
    facts += [
        ("paper", paper),
        (
            "parameters",
            f"{found.parameters:,} with {FEATURES} inputs and {UNITS} units",
        ),
        ("linear in the state", _linear(found)),
        ("vendors' kernels", _kernels(found)),
    ]
    parts = [
        "<!-- generated by docs/cells.py -->",
        f"# {found.layer or cls.__name__}: `{name}`",
        *(prose(paragraph, found) for paragraph in (text.summary, *text.body)),
        f"[What the letters mean]({INDEX}#notation).",
        f"![A step of the cell]({IMAGES}/{name}.svg)",
        table("property, value", facts),
        "## When to use it",
        inline(found.use, found),
        "## States, gates and weights",
        table("state, shape, meaning", [_quoted(row) for row in _states(small)]),
        table("gate, what it reads", [_quoted(row) for row in found.gates]),
        table(
            f"weight, shape, size at {FEATURES} and {UNITS}",
            [
                (
                    f"`{row.weight}`" + ("" if row.trained else ", not trained"),
                    symbolic(of.shape),
                    f"{row.size:,}",
                )
                for row, of in zip(found.weights, small.weights)
            ],
        ),
        "## Arguments of its own",
        table(
            "argument, default, meaning",
            [
                (
                    f"`{row.argument}`",
                    f"`{row.default}`",
                    linked(row.meaning),
                )
                for row in found.options
            ],
        )
        if found.options
        else "None but `units`.",
        "Besides these, every cell takes the arguments of `keras_rnnx.cells.Cell`.",
        "## Search space",
        _space(cls),
        "## Engines",
        f"With default arguments, in float32, with {UNITS} units and batches of 32. "
        f"Other things [decide too](../kernels.md#what-else-decides).",
        engines(found),
    ]
    return "\n\n".join(parts) + "\n"


def _quoted(row):
    first, *rest = row
    return f"`{first}`", *rest


def _states(found):
    for row in found.states:
        size = int(row.shape.strip("(),"))
        yield row.state, symbolic((size,)), row.kind


def _linear(found):
    if found.linear is None:
        return "no"
    return f"with `{written(found.linear)}`" if found.linear else "yes"


def _kernels(found):
    uses = [
        f"`{use.kernel}`" + (f" with `{written(use.arguments)}`" * bool(use.arguments))
        for use in found.kernels
    ]
    return ", ".join(uses) or "none"


def _space(cls):
    rows = [(f"`{p.name}`", searched(p)) for p in search_space(cls)]
    if not rows:
        return (
            "The cell adds nothing to a search, which draws units, depth, rates and so "
            "on for every cell."
        )
    return table("argument, searched", rows)


def index() -> str:
    """The page that lists all cells."""
    rows = []
    for info in package():
        found = describe(info.name, FEATURES, UNITS)
        summary = re.sub(r":? `.*$", "", found.text.summary).rstrip(".")
        rows.append(
            (
                f"[`{info.name}`]({info.name}.md)",
                summary,
                info.paper,
                " ".join(info.states),
                " ".join(info.gates),
                f"{found.parameters:,}",
                _linear(found),
                _kernels(found),
            )
        )
    titles = "cell, what it is, paper, states, gates, parameters, linear, kernels"
    parts = [
        "<!-- generated by docs/cells.py -->",
        "# The cells",
        f"{len(rows)} cells, sorted by the year of their paper. Parameters are counted "
        f"for {FEATURES} inputs\nand {UNITS} units. A scan over time computes *linear* "
        f"cells. *Kernels* are those of\ncuDNN and torch that compute a cell exactly, "
        f"with the arguments that this needs\n([all of them](../kernels.md)).",
        table(titles, rows),
        "In the terminal, `keras-rnnx cells` lists them, and `keras-rnnx cells NAME` "
        "shows one.\n[All cells compared](comparison.md) has their speed and what they "
        "learn in the same time,\nmeasured by `python -m benchmarks.catalogue`.",
        NOTATION,
    ]
    return "\n\n".join(parts) + "\n"


def package() -> list[cells.CellInfo]:
    """The rows of the catalogue that are the package's own."""
    return [
        info
        for info in cells.catalog()
        if info.cls.__module__.startswith("keras_rnnx.")
    ]


def pages() -> dict[str, str]:
    """All pages and diagrams as the code is, by the name of the file."""
    files = {INDEX: index()}
    for info in package():
        cell = describe(info.name, FEATURES, UNITS).cell
        files[f"{info.name}.md"] = page(info.name)
        files[f"{IMAGES}/{info.name}.svg"] = diagram(cell)
    return files


def main(argv: list[str] | None = None) -> int:
    """Rewrites the pages, or says whether they are current; returns the status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(argv).check
    current = pages()
    there = {
        path.relative_to(FOLDER).as_posix(): path.read_text(encoding="utf-8")
        for path in [*FOLDER.glob("*.md"), *FOLDER.glob(f"{IMAGES}/*.svg")]
        if path.name not in OTHERS
    }
    if there == current:
        return 0
    if check:
        names = {*there, *current}
        wrong = sorted(n for n in names if there.get(n) != current.get(n))
        print(f"{', '.join(wrong)} not as the code is: run python docs/cells.py")
        return 1
    (FOLDER / IMAGES).mkdir(parents=True, exist_ok=True)
    for name in there.keys() - current.keys():
        (FOLDER / name).unlink()
    for name, text in current.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
