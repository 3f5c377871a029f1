"""The adding problem: initial weights and leak rates against Keras' defaults.

64 units, Adam, batches of 50, gradients clipped to norm 1, 4,000 updates for each.
Always answering 1 has an error of 0.167. The rate is 0.001, but for "irnn", which
leaves 0.167 at 0.0001 alone.
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Callable

import keras
import numpy as np

from benchmarks.cures.runs import mean_and_deviation
from keras_rnnx import datasets, layers
from keras_rnnx.initializers import IdentityRecurrent

TITLE = "adding problem, 64 units, 4,000 updates"
MEASURE = "validation error"
GOAL = 1 / 6
LOGARITHMIC = True
LENGTHS = (200, 400)
UNITS, BATCH, UPDATES, EPOCHS = 64, 50, 200, 20
RATE = 1e-3
RATES = {"SimpleRNN, irnn": 1e-4}
LAYERS = {
    "keras SimpleRNN": lambda: keras.layers.SimpleRNN(UNITS),
    "keras LSTM": lambda: keras.layers.LSTM(UNITS),
    "SimpleRNN, irnn": lambda: layers.SimpleRNN(UNITS, recipe="irnn"),
    "LSTM, chrono": lambda: layers.LSTM(UNITS, recipe="chrono"),
    "LeakyRNN, leaky": lambda: layers.LeakyRNN(UNITS, recipe="leaky"),
    "LeakyRNN, leaky, relu, identity": lambda: layers.LeakyRNN(
        UNITS,
        recipe="leaky",
        activation="relu",
        recurrent_initializer=IdentityRecurrent(),
    ),
}


def settings(data: pathlib.Path | None) -> dict[str, Callable[[int], dict]]:
    """Functions that train with a seed, by name."""
    return {
        f"{length} steps: {name}": _training(length, make, RATES.get(name, RATE))
        for length in LENGTHS
        for name, make in LAYERS.items()
    }


def _training(length, make, rate):
    def train(seed):
        model = keras.Sequential(
            [keras.Input((length, 2)), make(), keras.layers.Dense(1)]
        )
        model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), "mse")
        task = datasets.load_task(
            "adding",
            length=length,
            train=UPDATES * BATCH,
            validation=1000,
            test=1000,
            seed=seed,
        )
        curve = model.fit(
            *task.train,
            batch_size=BATCH,
            epochs=EPOCHS,
            validation_data=tuple(task.validation),
            validation_batch_size=1000,
            verbose=0,
        ).history["val_loss"]
        test = model.evaluate(*task.test, batch_size=1000, verbose=0)
        return {"curve": curve, "test": test, "best": min(curve)}

    return train


def _solved(runs):
    return f"{sum(run['test'] is not None and run['test'] < 0.01 for run in runs)}"


def _median(runs):
    # Of a run that diverged there is none.
    found = [math.inf if run["test"] is None else run["test"] for run in runs]
    return f"{np.median(found):.4f}"


COLUMNS = {
    "test error": mean_and_deviation("test"),
    "median": _median,
    "below 0.01": _solved,
}
