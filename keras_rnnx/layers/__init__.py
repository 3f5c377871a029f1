"""Recurrent layers, with the names and arguments Keras gives them."""

from keras_rnnx.layers.named import (
    CIFG,
    GRU,
    IRNN,
    JANET,
    LSTM,
    MGU,
    NPRNN,
    UGRNN,
    FastRNN,
    LeakyRNN,
    SimpleRNN,
)
from keras_rnnx.layers.recurrent import RNN

__all__ = [
    "CIFG",
    "FastRNN",
    "GRU",
    "IRNN",
    "JANET",
    "LSTM",
    "LeakyRNN",
    "MGU",
    "NPRNN",
    "RNN",
    "SimpleRNN",
    "UGRNN",
]
