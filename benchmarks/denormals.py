"""What denormal numbers cost on torch: a training step with them, and without.

    python -m benchmarks.denormals
    python -m benchmarks.denormals --steps 100 800 --units 64

A gradient that vanishes over hundreds of steps becomes denormal: below 1.2e-38, and not
0. Each layer makes a training step of a batch of 32 with such numbers as they are, and
with `torch.set_flush_denormal(True)`, in turn, in one process, on one thread. Untrained
layers answer once, at the last step.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import NamedTuple

BATCH, INPUTS = 32, 8
LAYERS = ("LSTM", "GRU", "SimpleRNN", "MinGRU")


class Row(NamedTuple):
    """Medians of a layer, and their ratio."""

    layer: str
    steps: int
    as_they_are_ms: str
    flushed_ms: str
    times_as_fast: str


def main(argv: list[str] | None = None) -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.denormals",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 400, 800])
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    os.environ["KERAS_BACKEND"] = "torch"
    import torch

    from keras_rnnx.inspection.table import Table

    torch.set_num_threads(1)
    rows = []
    for steps in options.steps:
        for name, step in training_steps(steps, options.units).items():
            plain, flushed = medians(step, options.rounds)
            ratio = f"{plain / flushed:.1f}"
            rows.append(Row(name, steps, f"{plain:.0f}", f"{flushed:.0f}", ratio))
    print(Table(rows))


def training_steps(steps: int, units: int) -> dict:
    """A function for each layer that makes a training step.

    Args:
        steps: length of the sequences.
        units: of each layer.
    """
    import keras
    import numpy as np
    import torch

    from keras_rnnx import layers

    random = np.random.default_rng(0)
    x = random.normal(size=(BATCH, steps, INPUTS)).astype("float32")
    y = random.normal(size=(BATCH, 1)).astype("float32")

    def of_keras(layer):
        model = keras.Sequential(
            [keras.Input((steps, INPUTS)), layer, keras.layers.Dense(1)]
        )
        model.compile("sgd", "mse")
        return lambda: model.train_on_batch(x, y)

    def bare():
        lstm = torch.nn.LSTM(INPUTS, units, batch_first=True)
        top = torch.nn.Linear(units, 1)
        optimizer = torch.optim.SGD([*lstm.parameters(), *top.parameters()], 0.01)
        inputs, targets = torch.from_numpy(x), torch.from_numpy(y)

        def step():
            optimizer.zero_grad()
            found = top(lstm(inputs)[0][:, -1])
            torch.nn.functional.mse_loss(found, targets).backward()
            optimizer.step()

        return step

    found = {name: of_keras(getattr(layers, name)(units)) for name in LAYERS}
    found["keras.layers.LSTM"] = of_keras(keras.layers.LSTM(units))
    found["torch.nn.LSTM"] = bare()
    return found


def medians(step, rounds: int) -> tuple[float, float]:
    """Milliseconds of a step with denormal numbers, and without, called in turn.

    Args:
        step: what is timed.
        rounds: timed calls of each, after one that warms up.
    """
    import torch

    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(1 + rounds):
        for flush, measured in times.items():
            torch.set_flush_denormal(flush)
            start = time.perf_counter()
            step()
            measured.append(1e3 * (time.perf_counter() - start))
    torch.set_flush_denormal(False)
    plain, flushed = (statistics.median(measured[1:]) for measured in times.values())
    return plain, flushed


if __name__ == "__main__":
    main()
