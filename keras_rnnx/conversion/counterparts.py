"""The counterparts of Keras' layers and cells in keras_rnnx."""

from __future__ import annotations

import keras

from keras_rnnx import cells, layers

LAYERS = {
    keras.layers.LSTM: layers.LSTM,
    keras.layers.GRU: layers.GRU,
    keras.layers.SimpleRNN: layers.SimpleRNN,
    keras.layers.RNN: layers.RNN,
    layers.RNN: layers.RNN,
}
CELLS = {
    keras.layers.LSTMCell: cells.LSTMCell,
    keras.layers.GRUCell: cells.GRUCell,
    keras.layers.SimpleRNNCell: cells.SimpleRNNCell,
}

WRAPPERS = {keras.layers.Bidirectional: layers.Bidirectional}


def refusal(layer: keras.layers.RNN) -> str | None:
    """Why `convert` does not replace a recurrent layer of Keras, or None if it does."""
    cls = type(layer)
    if cls not in LAYERS:
        if cls.__module__.startswith("keras."):
            return f"keras_rnnx has no {cls.__name__}"
        return f"{cls.__name__} is a subclass, whose own code would be lost"
    reasons = map(cell_refusal, getattr(layer.cell, "cells", [layer.cell]))
    return next(filter(None, reasons), None)


def cell_refusal(cell: object) -> str | None:
    """Why a cell of Keras has no counterpart, or None if it has one."""
    for name in ("dropout", "recurrent_dropout") if type(cell) in CELLS else ():
        if not 0 <= getattr(cell, name) < 1:
            rate = getattr(cell, name)
            return f"{name}={rate} is not in [0, 1), the range of rates in keras_rnnx"
    return None
