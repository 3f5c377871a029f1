"""Sequences drawn at random, in NumPy: from a generator, a number and a length."""

from keras_rnnx.datasets.drawn.chaos import lorenz, mackey_glass
from keras_rnnx.datasets.drawn.memory import adding, copy_memory, parity
from keras_rnnx.datasets.drawn.noise import noise_padded
from keras_rnnx.datasets.drawn.order import temporal_order

__all__ = [
    "adding",
    "copy_memory",
    "lorenz",
    "mackey_glass",
    "noise_padded",
    "parity",
    "temporal_order",
]
