"""`python -m fuzz`: draws cases until the time is up, or until one differs."""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import sys
import time
from collections import Counter

import quick

os.environ.update(quick.environment())

import keras

from fuzz import drawing
from fuzz.case import Case
from fuzz.comparing import Difference, check
from fuzz.shrinking import shrink


@dataclasses.dataclass
class Fuzzer:
    """Draws, counts, and stops at the first difference.

    Args:
        seed: of the first case; the next ones count on.
        seconds: how long to draw.
        cases: how many to draw. Default: no limit.
        names: of cells.
        fills: what may stand in masked steps.
    """

    seed: int
    seconds: float
    cases: int | None = None
    names: tuple[str, ...] = drawing.NAMES
    fills: tuple[float, ...] = drawing.FILLS

    def __post_init__(self):
        self.seen: Counter[str] = Counter()
        self.began = time.monotonic()

    def run(self) -> Difference | None:
        """The first difference, before it is shrunk, or None."""
        while not self._over:
            case = drawing.case(self.seed, self.names, self.fills)
            self.seen[case.cell] += 1
            try:
                run(case)
            except Difference as difference:
                return difference
            self.seed += 1
        return None

    @property
    def _over(self):
        late = time.monotonic() - self.began >= self.seconds
        return late or self.seen.total() >= (self.cases or float("inf"))


def run(case: Case) -> None:
    """Compares the engines on a case, and leaves nothing of it behind."""
    try:
        check(case)
    finally:
        keras.utils.clear_session(free_memory=False)


def main(argv: list[str] | None = None) -> int:
    """Runs the command.

    Returns:
        The exit status: 1 where a case differs.
    """
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="default 60")
    parser.add_argument("--cases", type=int, help="stop after so many")
    parser.add_argument("--seed", type=int, help="default: drawn")
    names = drawing.NAMES
    parser.add_argument("--cells", nargs="+", choices=names, default=names)
    fills = drawing.FILLS
    parser.add_argument("--fills", nargs="+", type=float, default=fills)
    given = parser.parse_args(argv)
    seed = random.randrange(10**6) if given.seed is None else given.seed
    fuzzer = Fuzzer(
        seed, given.seconds, given.cases, tuple(given.cells), tuple(given.fills)
    )
    # Errors in the words of who raises them.
    keras.config.disable_traceback_filtering()
    backend = keras.backend.backend()
    print(f"fuzz on {backend}, seed {seed}", flush=True)
    difference = fuzzer.run()
    count, took = fuzzer.seen.total(), time.monotonic() - fuzzer.began
    says = "no difference" if difference is None else "one differs"
    cells = f"{len(fuzzer.seen)} cells"
    print(f"{count} cases of {cells} on {backend} in {took:.0f} s: {says}", flush=True)
    if difference is None:
        return 0
    again = f"KERAS_BACKEND={backend} SEED={fuzzer.seed} CASES=1"
    print(f"To draw it again: make fuzz {again}", flush=True)
    print(f"{difference}\nThe smallest case that was found:\n", flush=True)
    print(shrink(difference, run).program)
    return 1


if __name__ == "__main__":
    sys.exit(main())
