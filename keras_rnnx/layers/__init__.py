"""Recurrent layers, with the names and arguments Keras gives them."""

from keras_rnnx.layers.embedding import Embedding
from keras_rnnx.layers.gated_feedback import GatedFeedbackCell
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
from keras_rnnx.layers.stack import Stack

__all__ = [
    "CIFG",
    "Embedding",
    "FastRNN",
    "GRU",
    "GatedFeedbackCell",
    "IRNN",
    "JANET",
    "LSTM",
    "LeakyRNN",
    "MGU",
    "NPRNN",
    "RNN",
    "SimpleRNN",
    "Stack",
    "UGRNN",
]
