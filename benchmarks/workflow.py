"""`fit` and `predict` of whole models, as a user calls them.

A model is an `Input`, one recurrent layer and a `Dense`. On TensorFlow both models are
timed with `jit_compile=True` as well.
"""

from __future__ import annotations

import keras
import numpy as np

from benchmarks import peers, timing

# Of one call: enough that what an epoch costs once is little.
BATCHES = 8


def pair(name: str):
    """A function from units to Keras' layer and ours, without outputs of each step."""
    if name == "LeakyRNN":
        return lambda units: peers.leaky(
            units, leak_trainable=True, return_sequences=False
        )
    return lambda units: peers.same_name(name, units, return_sequences=False)


def measure(name: str, size: tuple[int, ...], seconds: float) -> dict:
    """One row: milliseconds of `fit` and `predict` over 8 batches.

    Args:
        name: "LSTM", "GRU", "SimpleRNN" or "LeakyRNN".
        size: batch, steps, inputs, units.
        seconds: for each of the two.
    """
    batch, steps, inputs, units = size
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCHES * batch, steps, inputs)).astype("float32")
    y = rng.normal(size=(BATCHES * batch, 1)).astype("float32")
    compiling = {"": False}
    if keras.backend.backend() == "tensorflow":
        compiling[", XLA"] = True
    functions = {"predict": {}, "fit": {}}
    for kind, jit_compile in compiling.items():
        models = dict(zip(("keras", "keras_rnnx"), _models(name, size, jit_compile)))
        for peer, model in models.items():
            functions["fit"][peer + kind] = _fit(model, x, y, batch)
            functions["predict"][peer + kind] = _predict(model, x, batch)
    return timing.row(name, size, functions, seconds)


def _models(name, size, jit_compile):
    """Keras' model and ours, with the same weights."""
    _, steps, inputs, units = size
    made = []
    for layer in pair(name)(units):
        model = keras.Sequential(
            [keras.Input((steps, inputs)), layer, keras.layers.Dense(1)]
        )
        # JAX always compiles and torch never does, unless asked to.
        chosen = jit_compile if keras.backend.backend() == "tensorflow" else "auto"
        model.compile("adam", "mse", jit_compile=chosen)
        made.append(model)
    made[1].set_weights(made[0].get_weights())
    return made


def _fit(model, x, y, batch):
    return lambda: model.fit(x, y, batch_size=batch, shuffle=False, verbose=0)


def _predict(model, x, batch):
    return lambda: model.predict(x, batch_size=batch, verbose=0)
