"""The adding problem over 1,000 steps: cells that solve it in 15 minutes of CPU time.

64 units, Adam, batches of 50, gradients clipped to norm 1, until the validation error
is below 0.005 or 900 seconds of CPU time are over, compilation among them. Always
answering 1 has an error of 0.167.
"""

from __future__ import annotations

import math
import pathlib
import time
from collections.abc import Callable

import keras
import numpy as np

from benchmarks.cures.runs import mean_and_deviation
from keras_rnnx import datasets, layers
from keras_rnnx.constraints import UnitRange
from keras_rnnx.initializers import IdentityRecurrent

TITLE = "adding problem, 1,000 steps, 64 units, 900 s of CPU time at most"
MEASURE = "validation error"
GOAL = 0.005
LOGARITHMIC = True
SEEDS = 1
STEPS, UNITS, BATCH, UPDATES, BUDGET = 1000, 64, 50, 100, 900


def _chrono(name):
    return lambda: getattr(layers, name)(UNITS, recipe="chrono")


def _two_layers():
    """As in the paper: the last layer remembers, the one below makes its features."""
    return keras.Sequential(
        [
            layers.IndRNN(
                UNITS, recurrent_constraint=UnitRange(), return_sequences=True
            ),
            layers.IndRNN(UNITS, recipe="indrnn"),
        ]
    )


# A layer and a learning rate.
SETTINGS = {
    "TGRU, chrono": (_chrono("TGRU"), 3e-3),
    "QRNN, chrono": (_chrono("QRNN"), 3e-3),
    "MinGRU, chrono": (_chrono("MinGRU"), 3e-3),
    "MinLSTM, chrono": (_chrono("MinLSTM"), 3e-3),
    "LSTM, chrono": (_chrono("LSTM"), 1e-3),
    "LEM": (lambda: layers.LEM(UNITS), 1e-3),
    "IndRNN, indrnn": (lambda: layers.IndRNN(UNITS, recipe="indrnn"), 2e-4),
    "IndRNN, 2 layers": (_two_layers, 2e-4),
    "LeakyRNN, leaky, relu, identity": (
        lambda: layers.LeakyRNN(
            UNITS,
            recipe="leaky",
            activation="relu",
            recurrent_initializer=IdentityRecurrent(),
        ),
        1e-4,
    ),
    "keras LSTM": (lambda: keras.layers.LSTM(UNITS), 1e-3),
}


def settings(data: pathlib.Path | None) -> dict[str, Callable[[int], dict]]:
    """Functions that train with a seed, by name."""
    return {name: _training(*setting) for name, setting in SETTINGS.items()}


class Clock(keras.callbacks.Callback):
    """Ends training when it is good enough, diverged, or its CPU time is over."""

    def on_train_begin(self, logs=None):
        self.start = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.process_time() - self.start
        found = logs["val_loss"]
        if not GOAL <= found < math.inf or self.seconds > BUDGET:
            self.model.stop_training = True


def _training(make, rate):
    def train(seed):
        model = keras.Sequential(
            [keras.Input((STEPS, 2)), make(), keras.layers.Dense(1)]
        )
        model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), "mse")
        task = datasets.load_task(
            "adding", length=STEPS, train=20_000, validation=500, test=1000, seed=seed
        )
        random, clock = np.random.default_rng(seed), Clock()

        def batches():
            while True:
                rows = random.integers(0, len(task.train.x), BATCH)
                yield task.train.x[rows], task.train.y[rows]

        curve = model.fit(
            batches(),
            steps_per_epoch=UPDATES,
            epochs=10_000,
            validation_data=tuple(task.validation),
            validation_batch_size=BATCH,
            callbacks=[clock],
            verbose=0,
        ).history["val_loss"]
        test = model.evaluate(*task.test, batch_size=BATCH, verbose=0)
        return {
            "curve": curve,
            "test": test,
            "best": min(curve),
            "cpu": clock.seconds,
            "updates": len(curve) * UPDATES,
        }

    return train


COLUMNS = {
    "test error": mean_and_deviation("test"),
    "best validation": mean_and_deviation("best"),
    "updates": lambda runs: f"{np.mean([run['updates'] for run in runs]):,.0f}",
    "CPU s": lambda runs: f"{np.mean([run['cpu'] for run in runs]):.0f}",
}
