"""One step at a time, as a stream comes: our layer beside Keras', and the stepper.

Each row is a layer and a way to call it. The layer is stateful but for the stepper,
which has the states in the caller's hands.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

import keras_rnnx
from benchmarks import timing

LAYERS = ("LSTM", "GRU", "SimpleRNN")
# On torch a layer is called in several modes, which cost differently.
MODES = ("call", "no_grad", "inference_mode")


def names() -> tuple[str, ...]:
    """The rows there are on this backend."""
    ways = ["predict_on_batch"]
    ways += MODES if keras.backend.backend() == "torch" else MODES[:1]
    return tuple(f"{layer}, {way}" for layer in LAYERS for way in ways)


def measure(name: str, size: tuple[int, ...], seconds: float) -> dict:
    """One row: milliseconds of a step.

    Args:
        name: one of `names()`.
        size: batch, steps (1), inputs, units.
        seconds: for all that is compared in the row.
    """
    layer, way = name.split(", ")
    batch, steps, inputs, units = size
    x = np.random.default_rng(0).normal(size=(batch, steps, inputs)).astype("float32")
    functions = {}
    for peer, module in (("keras", keras.layers), ("keras_rnnx", keras_rnnx.layers)):
        model = _model(getattr(module, layer)(units, stateful=True), x.shape)
        functions[peer] = _call(model, way, x)
    if way == "predict_on_batch":
        whole = getattr(keras_rnnx.layers, layer)(units)
        stream = keras_rnnx.models.stepper(_model(whole, (batch, None, inputs)), batch)
        functions["stepper"] = _stepping(stream, x[:, 0])
    return timing.row(name, size, {"forward": functions}, seconds)


def _model(layer, shape):
    return keras.Sequential([keras.Input(batch_shape=shape), layer])


def _call(model, way, x) -> Callable:
    if way == "predict_on_batch":
        return lambda: model.predict_on_batch(x)
    x, layer = ops.convert_to_tensor(x), model.layers[-1]
    if way == "call":
        return lambda: layer(x)
    return getattr(importlib.import_module("torch"), way)()(lambda: layer(x))


def _stepping(stream, x):
    states = [stream.init()]

    def call():
        y, states[0] = stream.step(x, states[0])
        return ops.convert_to_numpy(y)

    return call
