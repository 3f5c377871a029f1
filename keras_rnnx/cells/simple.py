"""The simple recurrent network."""

from __future__ import annotations

from keras_rnnx.cells.cell import Cell
from keras_rnnx.cells.registry import register
from keras_rnnx.cells.views import State


@register
class SimpleRNNCell(Cell):
    """Simple recurrent network: `h' = tanh(W x + U h + b)`.

    Elman 1990, Cognitive Science 14(2). Weights are those of
    `keras.layers.SimpleRNNCell`.

    Args:
        units: number of units.
        activation: of the state. Default "tanh".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(SimpleRNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("h",)
    options = {"activation": "tanh"}
    paper = "Elman 1990"

    def update(self, state, gate):
        return State(h=self.activation(gate.h))
