"""How many training steps a diagnosis takes, and one look of a `Monitor`.

    python -m benchmarks.diagnosis
    python -m benchmarks.diagnosis --layer GRU --depth 1 --size 32 50 8 128

All are timed in turn on one model and one batch: a step of `train_on_batch`,
`keras_rnnx.diagnose` with its defaults, and what `callbacks.Monitor` measures at once.
The first call of each, which compiles, is not timed. What a diagnosis compiles anew in
each call is part of its time. On a CPU the peak memory of each is shown too.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

import keras_rnnx
from benchmarks import device, memory, timing
from keras_rnnx import layers
from keras_rnnx.inspection.table import Table

LEAST_ROUNDS = 3
SLOWER = 20


class Row(NamedTuple):
    """What is timed, its median, and how it compares with a training step."""

    what: str
    ms: str
    steps: str
    MiB: str


def model_of(name: str, depth: int, size: tuple[int, ...]) -> keras.Model:
    """A model with so many layers that answers once."""
    _, steps, inputs, units = size
    kind = getattr(layers, name)
    made = [kind(units, return_sequences=k < depth - 1) for k in range(depth)]
    model = keras.Sequential(
        [keras.Input((steps, inputs)), *made, keras.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    return model


def functions(
    name: str, depth: int, size: tuple[int, ...]
) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    batch, steps, inputs, _ = size
    random = np.random.default_rng(0)
    x = random.normal(size=(batch, steps, inputs)).astype("float32")
    y = x[:, 0, :1]
    model = model_of(name, depth, size)
    model.train_on_batch(x, y)
    monitor = keras_rnnx.callbacks.Monitor(x[:32], y[:32], warn=False)
    monitor.set_model(model)
    monitor.on_train_begin()
    return {
        "a training step": lambda: model.train_on_batch(x, y),
        "keras_rnnx.diagnose": lambda: keras_rnnx.diagnose(model, x, y),
        "callbacks.Monitor": monitor.look,
    }


def medians(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds of each, all called in turn."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(max(rounds, LEAST_ROUNDS)):
        for name, call in calls.items():
            # A step is short: as many of them as a diagnosis may take.
            repeats = SLOWER if name == "a training step" else 1
            times[name] += [timing.milliseconds(call) for _ in range(repeats)]
    return {name: statistics.median(found) for name, found in times.items()}


def peaks(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """MiB that each needs above what was held before, by its second call."""
    now, peak = memory.counters()
    found = {}
    for name, call in calls.items():
        call()
        held = now()
        peak(reset=True)
        call()
        found[name] = (peak(reset=False) - held) / memory.MIB
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.diagnosis",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--layer", default="LSTM", help="default LSTM")
    parser.add_argument("--depth", type=int, default=2, help="layers, default 2")
    parser.add_argument(
        "--size",
        type=int,
        nargs=4,
        default=(64, 100, 8, 64),
        metavar=("BATCH", "STEPS", "INPUTS", "UNITS"),
        help="default 64 100 8 64",
    )
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    options = parser.parse_args()
    calls = functions(options.layer, options.depth, tuple(options.size))
    times, needed = medians(calls, options.rounds), peaks(calls)
    step = times["a training step"]
    print(
        f"{options.depth} {options.layer} of {options.size[3]} units, batch "
        f"{options.size[0]}, {options.size[1]} steps; {keras.backend.backend()} on "
        f"{device.gpu() or device.cores_said()}"
    )
    print(
        Table(
            Row(name, f"{ms:.1f}", f"{ms / step:.1f}", f"{needed[name]:.0f}")
            for name, ms in times.items()
        )
    )


if __name__ == "__main__":
    main()
