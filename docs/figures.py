"""Draws docs/images from what is kept in benchmarks/results.

    python docs/figures.py            # all of them
    python docs/figures.py cures      # those whose names begin so

The figures have no background, and an ink between black and white: they can be read on
light and on dark pages. The colours are those of Okabe and Ito, which the colour-blind
can tell from each other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
sys.path.insert(0, str(Path(__file__).parents[1]))

from drawing.cures import (
    cures_adding,
    cures_chorales,
    cures_doctor,
    cures_long,
    cures_order,
)
from drawing.diagnosed import diagnosis
from drawing.look import IMAGES, STYLE
from drawing.readme import readme
from drawing.speed import fit_cpu, regularized_gpu, scan

FIGURES: tuple[Callable[[], None], ...] = (
    cures_adding,
    cures_long,
    cures_order,
    cures_chorales,
    cures_doctor,
    fit_cpu,
    regularized_gpu,
    scan,
    diagnosis,
    readme,
)


def chosen(beginnings: list[str]) -> Iterator[Callable[[], None]]:
    """The figures whose names begin so; all without any."""
    for draw in FIGURES:
        if not beginnings or any(draw.__name__.startswith(b) for b in beginnings):
            yield draw


def main(beginnings: list[str]) -> None:
    """Draws them."""
    IMAGES.mkdir(exist_ok=True)
    with matplotlib.rc_context(STYLE):
        for draw in chosen(beginnings):
            draw()


if __name__ == "__main__":
    main(sys.argv[1:])
