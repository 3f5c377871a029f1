"""Recurrent layers, with the names and arguments Keras gives them."""

from keras_rnnx.layers.named import GRU, LSTM, LeakyRNN, SimpleRNN
from keras_rnnx.layers.recurrent import RNN

__all__ = ["GRU", "LSTM", "LeakyRNN", "RNN", "SimpleRNN"]
