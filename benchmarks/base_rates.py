"""Music with and without outputs that start at how often each note sounds.

    python -m benchmarks.base_rates --data RAW

A GRU of 46 units learns each of four collections from the same weights and with the
same batches, with a bias of the outputs of zero, and with that of `BaseRates`. Prints
the nats a frame of the validation part after 1, 2 and 5 epochs, the mean over the
seeds. Pieces are cut as in `benchmarks.published chung2014`. About 13 minutes of CPU
time on torch.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import NamedTuple

import keras
import numpy as np

from benchmarks.published import data, training
from benchmarks.published.tables.chung2014 import CUTS, TITLES
from keras_rnnx import models
from keras_rnnx.datasets import PaddedBatches
from keras_rnnx.inspection.table import Table

UNITS, BATCH, RATE = 46, 4, 5e-3
EPOCHS = (1, 2, 5)


class Row(NamedTuple):
    """Validation figures of one collection by epoch, and the trivial one."""

    collection: str
    bias: str
    epoch_1: str
    epoch_2: str
    epoch_5: str
    rates_alone: str


def main(argv: list[str] | None = None) -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.base_rates",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=pathlib.Path, help="folder of the raw files")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=TITLES, nargs="+", default=list(TITLES))
    options = parser.parse_args(argv)
    rows = []
    for name in options.only:
        missing = data.missing(name, options.data)
        if missing:
            parser.error(missing)
        task = data.load(name, options.data, {})
        rates = task.base_rates
        alone = f"{constant(task, rates):.2f}"
        for bias, start in (("zeros", None), ("BaseRates", rates)):
            curves = [curve(task, seed, start) for seed in range(options.seeds)]
            means = np.mean(curves, axis=0)
            shown = [f"{means[epoch - 1]:.2f}" for epoch in EPOCHS]
            rows.append(Row(TITLES[name], bias, *shown, alone))
            print(*rows[-1], flush=True)
    print(Table(rows))


def constant(task, rates) -> float:
    """Nats a frame of the validation part where each frame gets the rates."""
    frames = np.concatenate(list(task.validation.y))
    told = np.where(frames == 1, rates, 1 - rates)
    return float(-np.log(told).sum(-1).mean())


def curve(task, seed: int, base_rates) -> list[float]:
    """The validation figure after each epoch.

    Args:
        task: the collection.
        seed: of weights and batches.
        base_rates: that the outputs start at, or None.
    """
    keras.utils.set_random_seed(seed)
    model = models.for_task(task, cell="gru", units=UNITS, base_rates=base_rates)
    task.compile(model, keras.optimizers.Adam(RATE, global_clipnorm=1.0))
    x, y = task.train
    steps = CUTS[task.name]
    if steps:
        x, y = (training.cut(sequences, steps) for sequences in (x, y))
    history = model.fit(
        PaddedBatches(x, y, BATCH, seed=seed),
        validation_data=task.batches("validation", 16),
        epochs=max(EPOCHS),
        verbose=0,
    )
    return history.history["val_frame_nll"]


if __name__ == "__main__":
    main()
