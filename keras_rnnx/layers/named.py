"""The named layers."""

from __future__ import annotations

import keras

from keras_rnnx import cells
from keras_rnnx.layers.cell_layer import CellLayer


@keras.saving.register_keras_serializable("keras_rnnx")
class LSTM(CellLayer):
    """Long short-term memory, in place of `keras.layers.LSTM`.

    Takes every argument of `keras.layers.LSTM` with its meaning and default (`dropout`
    and `recurrent_dropout` draw one mask a sample for all gates), and holds the same
    weights. See `keras_rnnx.cells.LSTMCell` for the equation and
    `keras_rnnx.layers.RNN` for the arguments of the loop.

    Example:

    >>> keras_rnnx.layers.LSTM(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell_class = cells.LSTMCell


@keras.saving.register_keras_serializable("keras_rnnx")
class GRU(CellLayer):
    """Gated recurrent unit, in place of `keras.layers.GRU`.

    Takes every argument of `keras.layers.GRU` with its meaning and default (`dropout`
    and `recurrent_dropout` draw one mask a sample for all gates), and holds the same
    weights. See `keras_rnnx.cells.GRUCell` for the equation and
    `keras_rnnx.layers.RNN` for the arguments of the loop.

    Example:

    >>> keras_rnnx.layers.GRU(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell_class = cells.GRUCell


@keras.saving.register_keras_serializable("keras_rnnx")
class SimpleRNN(CellLayer):
    """Simple recurrent network, in place of `keras.layers.SimpleRNN`.

    Takes every argument of `keras.layers.SimpleRNN` with its meaning and default, and
    holds the same weights. See `keras_rnnx.cells.SimpleRNNCell` for the equation and
    `keras_rnnx.layers.RNN` for the arguments of the loop.

    Example:

    >>> keras_rnnx.layers.SimpleRNN(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell_class = cells.SimpleRNNCell


@keras.saving.register_keras_serializable("keras_rnnx")
class LeakyRNN(CellLayer):
    """Leaky integrator network, with leak rates fixed or learned.

    See `keras_rnnx.cells.LeakyRNNCell` for the equation and its arguments, and
    `keras_rnnx.layers.RNN` for the arguments of the loop.

    Example:

    >>> keras_rnnx.layers.LeakyRNN(4, leak=0.1)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell_class = cells.LeakyRNNCell
