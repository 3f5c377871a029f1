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


@keras.saving.register_keras_serializable("keras_rnnx")
class IRNN(CellLayer):
    """ReLU network that starts as the identity.

    See `keras_rnnx.cells.IRNNCell` for the equation and its arguments, and
    `keras_rnnx.layers.RNN` for the arguments of the loop.

    Example:

    >>> keras_rnnx.layers.IRNN(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell_class = cells.IRNNCell


@keras.saving.register_keras_serializable("keras_rnnx")
class NPRNN(CellLayer):
    """ReLU network with a normalized positive definite recurrent matrix.

    See `keras_rnnx.cells.NPRNNCell` for the equation and its arguments, and
    `keras_rnnx.layers.RNN` for the arguments of the loop.

    Example:

    >>> keras_rnnx.layers.NPRNN(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell_class = cells.NPRNNCell


@keras.saving.register_keras_serializable("keras_rnnx")
class FastRNN(CellLayer):
    """Residual network with two learned numbers.

    See `keras_rnnx.cells.FastRNNCell` for the equation and its arguments, and
    `keras_rnnx.layers.RNN` for the arguments of the loop.

    Example:

    >>> keras_rnnx.layers.FastRNN(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell_class = cells.FastRNNCell


@keras.saving.register_keras_serializable("keras_rnnx")
class CIFG(CellLayer):
    """LSTM with coupled input and forget gates.

    See `keras_rnnx.cells.CIFGCell` for the equation and its arguments, and
    `keras_rnnx.layers.RNN` for the arguments of the loop.

    Example:

    >>> keras_rnnx.layers.CIFG(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell_class = cells.CIFGCell


@keras.saving.register_keras_serializable("keras_rnnx")
class UGRNN(CellLayer):
    """Update gate network.

    See `keras_rnnx.cells.UGRNNCell` for the equation and its arguments, and
    `keras_rnnx.layers.RNN` for the arguments of the loop.

    Example:

    >>> keras_rnnx.layers.UGRNN(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell_class = cells.UGRNNCell


@keras.saving.register_keras_serializable("keras_rnnx")
class JANET(CellLayer):
    """LSTM of which only the forget gate is left.

    See `keras_rnnx.cells.JANETCell` for the equation and its arguments, and
    `keras_rnnx.layers.RNN` for the arguments of the loop.

    Example:

    >>> keras_rnnx.layers.JANET(4, beta=0)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell_class = cells.JANETCell


@keras.saving.register_keras_serializable("keras_rnnx")
class MGU(CellLayer):
    """Minimal gated unit.

    See `keras_rnnx.cells.MGUCell` for the equation and its arguments, and
    `keras_rnnx.layers.RNN` for the arguments of the loop.

    Example:

    >>> keras_rnnx.layers.MGU(4, reset_after=True)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell_class = cells.MGUCell
