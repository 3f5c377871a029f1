"""JSB chorales, the next frame: two layers of 200 units, with and without regularizers.

The size of Bai, Kolter & Koltun 2018, arXiv:1803.01271 (test: LSTM 8.45, GRU 8.43).
Adam at rate 0.002, gradients clipped to norm 1, batches of 16 chorales of about the
same length, until the validation part has not become better for 10 epochs after the
20th; the test figure is that of its best epoch. A falling rate is divided by ten where
an epoch after the 50th ends worse than each of the three before. One by one, as in the
paper's program, makes an update for each chorale, and the rate may fall after the 10th
epoch, from 0.001. The measure is the negative log-likelihood in nats, summed over the
88 notes, the mean over all frames but the first of each chorale.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

import keras_rnnx
from benchmarks.cures.runs import mean_and_deviation

TITLE = "JSB chorales, 2 layers of 200 units"
MEASURE = "validation nats a frame"
GOAL = 8.45
NOTES, BATCH, EPOCHS, PATIENCE, AT_LEAST = 88, 16, 100, 10, 20
# The epoch from which a rate may fall, by the chorales of a batch.
FALL_FROM = {BATCH: 50, 1: 10}
RATES = {BATCH: 2e-3, 1: 1e-3}
# Frames by which lengths of a batch may differ.
NEAR = 8
METHODS = {
    "LSTM": ("lstm", {}),
    "GRU": ("gru", {}),
    "LSTM, falling rate": ("lstm", {}),
    "LSTM, one by one, falling rate": ("lstm", {}),
    "GRU, one by one, falling rate": ("gru", {}),
    "LSTM, dropout": ("lstm", {"dropout": 0.2, "output_dropout": 0.2}),
    "GRU, dropout": ("gru", {"dropout": 0.2, "output_dropout": 0.2}),
    "LSTM, zoneout": ("lstm", {"zoneout": [0.05, 0.2]}),
    "LSTM, weight_dropout": ("lstm", {"weight_dropout": 0.4}),
    "LSTM, variational": (
        "lstm",
        {
            "dropout": 0.2,
            "output_dropout": 0.2,
            "dropout_mask": "sequence",
            "recurrent_dropout": 0.2,
        },
    ),
}


def settings(data: pathlib.Path | None) -> dict[str, Callable[[int], dict]]:
    """Functions that train with a seed, by name."""
    if data is None:
        raise SystemExit(
            "--data is missing: the folder of jsb_chorales.npz, whose arrays are "
            "{train,valid,test}_roll (frames, 11), packed bits, and *_lengths."
        )
    file = np.load(data / "jsb_chorales.npz", allow_pickle=False)
    parts = {name: _padded(file, name) for name in ("train", "valid", "test")}
    return {
        name: _training(
            parts, *method, 1 if "one by one" in name else BATCH, "falling" in name
        )
        for name, method in METHODS.items()
    }


def _padded(file, name):
    """Frames and, in one more column, whether there is a frame to tell."""
    roll = np.unpackbits(file[f"{name}_roll"], axis=1)[:, :NOTES]
    lengths = file[f"{name}_lengths"]
    found = np.zeros((len(lengths), lengths.max(), NOTES + 1), "float32")
    pieces = np.split(roll, np.cumsum(lengths)[:-1])
    for row, piece in zip(found, pieces):
        row[: len(piece), :NOTES] = piece
        row[: len(piece), NOTES] = 1
    return found[:, :-1, :NOTES], found[:, 1:]


class Batches(keras.utils.PyDataset):
    """Chorales of about the same length, cut to the longest; others in every epoch."""

    def __init__(self, x: np.ndarray, y: np.ndarray, batch: int, seed: int):
        super().__init__()
        self.x, self.y, self.batch = x, y, batch
        self.lengths = y[..., NOTES].sum(axis=1).astype(int)
        self.random = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.batches[index]
        steps = self.lengths[rows].max()
        return self.x[rows, :steps], self.y[rows, :steps]

    def on_epoch_end(self) -> None:
        near = self.lengths + self.random.uniform(0, NEAR, len(self.lengths))
        order = np.argsort(near)
        n = self.batch
        batches = [order[i : i + n] for i in range(0, len(order), n)]
        # Keras takes sizes in which the first two are alike for those of all.
        shortest, *others, longest = batches
        self.random.shuffle(others)
        self.batches = [longest, shortest, *others]


class Falling(keras.callbacks.Callback):
    """Divides the learning rate by ten where the validation part became worse."""

    def __init__(self, first: int):
        super().__init__()
        self.first = first

    def on_train_begin(self, logs=None):
        self.found = []

    def on_epoch_end(self, epoch, logs=None):
        worse = logs["val_loss"] > max(self.found[-3:], default=np.inf)
        if worse and epoch >= self.first:
            self.model.optimizer.learning_rate.assign(
                self.model.optimizer.learning_rate / 10
            )
        self.found.append(logs["val_loss"])


def _nats(y, logits):
    """Of each frame, so that the mean over all is the mean over those to tell."""
    notes, there = y[..., :NOTES], y[..., NOTES]
    each = ops.sum(ops.softplus(logits) - notes * logits, axis=-1) * there
    return each * ops.cast(ops.size(there), "float32") / ops.sum(there)


def _training(parts, cell, arguments, batch, falling):
    def train(seed):
        model = keras.Sequential(
            [
                keras.Input((None, NOTES)),
                keras_rnnx.layers.Stack(
                    cell, 200, depth=2, return_sequences=True, **arguments
                ),
                keras.layers.Dense(NOTES),
            ]
        )
        optimizer = keras.optimizers.Adam(RATES[batch], global_clipnorm=1.0)
        model.compile(optimizer, _nats)
        whole = len(parts["valid"][0])
        best = keras.callbacks.EarlyStopping(
            patience=PATIENCE, start_from_epoch=AT_LEAST, restore_best_weights=True
        )
        curve = model.fit(
            Batches(*parts["train"], batch, seed),
            shuffle=False,
            epochs=EPOCHS,
            validation_data=parts["valid"],
            validation_batch_size=whole,
            callbacks=[best, Falling(FALL_FROM[batch])] if falling else [best],
            verbose=0,
        ).history["val_loss"]
        x, y = parts["test"]
        test = model.evaluate(x, y, batch_size=len(x), verbose=0)
        return {
            "curve": curve,
            "best": min(curve),
            "test": test,
            "parameters": model.count_params(),
        }

    return train


COLUMNS = {
    "test": mean_and_deviation("test"),
    "validation": mean_and_deviation("best"),
    "epochs": lambda runs: f"{np.mean([len(run['curve']) for run in runs]):.0f}",
    "parameters": lambda runs: f"{runs[0].get('parameters', 0):,}",
}
