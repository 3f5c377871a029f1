"""Penn Treebank, words: the small model of Zaremba et al., and how long an epoch takes.

`keras_rnnx.models.zaremba("small")` as in the paper, 13 epochs (test perplexity there
114.5); then one epoch of it and one of the same model in plain Keras, for the time.
"""

from __future__ import annotations

import lzma
import math
import pathlib
import time
from collections.abc import Callable

import keras
import numpy as np

from keras_rnnx import callbacks, datasets, models

TITLE = "Penn Treebank, words, Zaremba's small model"
MEASURE = "validation perplexity"
GOAL = 120.7
SEEDS = 1
BATCH = 20


def settings(data: pathlib.Path | None) -> dict[str, Callable[[int], dict]]:
    """Functions that train with a seed, by name."""
    if data is None:
        raise SystemExit("--data is missing: the folder of ptb.train.txt.xz and so on.")
    words = {
        name: lzma.decompress((data / f"ptb.{name}.txt.xz").read_bytes())
        .decode()
        .replace("\n", " <eos> ")
        .split()
        for name in ("train", "valid", "test")
    }
    vocabulary = {w: i for i, w in enumerate(sorted(set(words["train"])))}
    tokens = {
        name: np.array([vocabulary[w] for w in found], "int32")
        for name, found in words.items()
    }
    return {
        "keras_rnnx": lambda seed: _train(tokens, _ours, None),
        "keras_rnnx, one epoch": lambda seed: _train(tokens, _ours, 1),
        "keras, one epoch": lambda seed: _train(tokens, _keras, 1),
    }


def _ours(steps):
    return models.zaremba("small", batch_size=BATCH, steps=steps)


def _keras(steps):
    uniform = keras.initializers.RandomUniform(-0.1, 0.1)
    tokens = keras.Input(batch_shape=(BATCH, steps), dtype="int32")
    h = keras.layers.Embedding(10000, 200, embeddings_initializer=uniform)(tokens)
    for _ in range(2):
        h = keras.layers.LSTM(200, return_sequences=True, stateful=True)(h)
    return keras.Model(tokens, keras.layers.Dense(10000)(h))


class _Seconds(keras.callbacks.Callback):
    """Notes how long each epoch took, without validation."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_test_begin(self, logs=None):
        if self.start is not None:
            self.found.append(time.perf_counter() - self.start)
            self.start = None


def _train(tokens, make, epochs):
    training = models.zaremba_training("small", BATCH)
    model = make(training.steps)
    model.compile(**training.compile)
    parts = {
        name: datasets.ContiguousBatches(
            found, BATCH, training.steps, drop_remainder=True
        )
        for name, found in tokens.items()
    }
    seconds = _Seconds()
    fit = {**training.fit}
    fit["callbacks"] = [*fit["callbacks"], seconds]
    if make is _ours:
        fit["callbacks"].append(callbacks.TruncatedBPTT(parts["train"]))
    history = model.fit(
        parts["train"],
        validation_data=parts["valid"],
        verbose=2,
        **{**fit, "epochs": epochs or fit["epochs"]},
    ).history
    found = {
        "curve": [math.exp(loss) for loss in history["val_crossentropy"]],
        "epoch_s": float(np.median(seconds.found)),
    }
    if make is _ours:
        models.reset_states(model)
        logs = model.evaluate(parts["test"], verbose=0, return_dict=True)
        found["test"] = math.exp(logs["crossentropy"])
        found["steps_left_out"] = len(tokens["test"]) - BATCH * (
            len(parts["test"]) * training.steps
        )
    return found


COLUMNS = {
    "test perplexity": lambda runs: (
        f"{runs[0]['test']:.1f}" if "test" in runs[0] else ""
    ),
    "validation": lambda runs: f"{runs[0]['curve'][-1]:.1f}",
    "epochs": lambda runs: str(len(runs[0]["curve"])),
    "s an epoch": lambda runs: f"{runs[0]['epoch_s']:.0f}",
}
