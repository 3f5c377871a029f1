"""Many small trials, a third of which diverge: does it end, and does memory stay?

    KERAS_BACKEND=jax python -m benchmarks.tuning.endurance --trials 200 --workers 1

Memory is that of the process and all that it started, what they share counted once,
sampled when a trial ends. Workers leave and are started again, so that it goes up and
down: medians over 20 trials say whether it grows.
"""

from __future__ import annotations

import argparse
import collections
import math
import statistics
import tempfile
import time
from pathlib import Path

import keras
import psutil
from keras import ops

import keras_rnnx
from keras_rnnx.cells import Cell, State
from keras_rnnx.cells.ranges import Choice
from keras_rnnx.datasets import load_task

MEGABYTE = 2**20
# What is loaded once is there by the first of these, and each is a median over as many.
WINDOW = 20


@keras_rnnx.cells.register(name="third_broken")
class ThirdBrokenCell(Cell):
    """A simple RNN that is NaN throughout in one of three trials."""

    states = ("h",)
    gates = ("h",)
    options = {"fate": "a"}
    search = {"fate": Choice(["a", "b", "broken"])}

    def update(self, state, gate):
        return State(h=ops.tanh(gate.h) * (math.nan if self.fate == "broken" else 1.0))


def used() -> float:
    """Megabytes of this process and all that it started."""
    me = psutil.Process()
    total = 0
    for process in (me, *me.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / MEGABYTE


def main() -> None:
    """Runs the search, and prints what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    task = load_task("adding", length=10, train=64, validation=32, test=32)
    memory, start = [], time.perf_counter()

    def progress(event: keras_rnnx.tuner.Progress) -> None:
        if event.row:
            memory.append(used())

    with tempfile.TemporaryDirectory() as folder:
        result = keras_rnnx.tuner.search(
            task,
            cells=["third_broken"],
            space={"units": (4, 32), "layers": 1, "bidirectional": False},
            trials=arguments.trials,
            max_epochs=3,
            workers=arguments.workers,
            directory=Path(folder) / "search",
            progress=progress,
        )
    counts = collections.Counter(row["status"] for row in result.leaderboard)
    reasons = sum(row["reason"] is not None for row in result.leaderboard)
    scores = [row["score"] for row in result.leaderboard if row["score"] is not None]
    print(f"{keras.backend.backend()}, {arguments.workers} worker(s)")
    print(f"{sum(counts.values())} trials: {dict(counts)}, {reasons} with a reason")
    print(
        f"best {result.leaderboard[0]['score']:.4f}, all scores finite: "
        f"{all(map(math.isfinite, scores))}"
    )
    print(f"seconds: {time.perf_counter() - start:.0f}")
    first, last = memory[WINDOW : 2 * WINDOW], memory[-WINDOW:]
    if first:
        medians = [statistics.median(part) for part in (first, last)]
        print(
            f"memory: {medians[0]:.0f} MB after {WINDOW} trials, {medians[1]:.0f} MB "
            f"at the end, {max(memory[WINDOW:]):.0f} MB at most"
        )


if __name__ == "__main__":
    main()
