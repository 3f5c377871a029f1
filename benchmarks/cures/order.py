"""Temporal order with a tanh network: the penalty on gradients, clipping, neither.

The set-up of Pascanu, Mikolov & Bengio 2013 with what their program calls "smart tanh":
50 units with 15 recurrent connections each and spectral radius 0.95, other weights
normal with deviation 0.01; gradient descent at rate 0.01, batches of 20, gradients
clipped to norm 1, the penalty with weight 4. Solved is 99 % of 2,000 new sequences.
Training ends there, after 40 epochs of 1,000 updates at chance (below 35 %), or after
200 epochs.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import keras
import numpy as np

import keras_rnnx

TITLE = "temporal order, tanh network of 50 units"
MEASURE = "validation accuracy"
GOAL = 0.99
LENGTHS = (50, 100, 150)
METHODS = {
    "plain": {"clip": None, "rate": 0.0},
    "clipped": {"clip": 1.0, "rate": 0.0},
    "clipped, GradientFlow(4)": {"clip": 1.0, "rate": 4.0},
}
EPOCHS, PATIENCE, UPDATES, BATCH, UNITS = 200, 40, 1000, 20, 50
CHANCE = 0.35


def settings(data: pathlib.Path | None) -> dict[str, Callable[[int], dict]]:
    """Functions that train with a seed, by name."""
    return {
        f"{length} steps: {name}": _training(length, **method)
        for length in LENGTHS
        for name, method in METHODS.items()
    }


def _training(length, clip, rate):
    def train(seed):
        def normal(k):
            return keras.initializers.RandomNormal(stddev=0.01, seed=seed + k)

        penalty = keras_rnnx.regularizers.GradientFlow(rate) if rate else None
        layer = keras_rnnx.layers.SimpleRNN(
            UNITS,
            kernel_initializer=normal(0),
            recurrent_initializer=keras_rnnx.initializers.SpectralRadius(
                0.95, density=0.3, seed=seed + 1000
            ),
            recurrent_regularizer=penalty,
        )
        model = keras.Sequential(
            [
                keras.Input((length, 6)),
                layer,
                keras.layers.Dense(4, kernel_initializer=normal(2000)),
            ]
        )
        model.compile(
            keras.optimizers.SGD(0.01, global_clipnorm=clip),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        task = keras_rnnx.datasets.load_task(
            "temporal_order",
            length=length,
            train=UPDATES * BATCH,
            validation=2000,
            test=1,
            seed=seed,
        )
        best = 0.0

        def watch(epoch, logs):
            nonlocal best
            best = max(best, logs["val_accuracy"])
            at_chance = epoch + 1 >= PATIENCE and best < CHANCE
            model.stop_training = best >= GOAL or at_chance

        stop = keras.callbacks.LambdaCallback(on_epoch_end=watch)
        curve = model.fit(
            *task.train,
            batch_size=BATCH,
            epochs=EPOCHS,
            validation_data=tuple(task.validation),
            validation_batch_size=2000,
            callbacks=[stop, keras.callbacks.TerminateOnNaN()],
            verbose=0,
        ).history["val_accuracy"]
        recurrent = keras.ops.convert_to_numpy(layer.cell.recurrent_kernel)
        finite = np.all(np.isfinite(recurrent))
        radius = np.abs(np.linalg.eigvals(recurrent)).max() if finite else np.nan
        return {
            "curve": curve,
            "best": max(curve),
            "solved": len(curve) if max(curve) >= GOAL else None,
            "radius": float(radius),
        }

    return train


def _solved(runs):
    return f"{sum(run['solved'] is not None for run in runs)} of {len(runs)}"


def _updates(runs):
    epochs = [run["solved"] for run in runs if run["solved"]]
    return f"{np.median(epochs) * UPDATES:.0f}" if epochs else "-"


def _best(runs):
    return f"{np.median([run['best'] for run in runs]):.3f}"


COLUMNS = {"solved": _solved, "median updates": _updates, "median accuracy": _best}
