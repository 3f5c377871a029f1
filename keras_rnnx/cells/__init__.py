"""Recurrent cells: each a declaration and an equation."""

from keras_rnnx.cells.cell import Cell
from keras_rnnx.cells.gru import GRUCell
from keras_rnnx.cells.leaky import LeakyRNNCell
from keras_rnnx.cells.lstm import LSTMCell
from keras_rnnx.cells.registry import CellInfo, catalog, get, names, register
from keras_rnnx.cells.simple import SimpleRNNCell
from keras_rnnx.cells.views import Gates, State

__all__ = [
    "Cell",
    "CellInfo",
    "GRUCell",
    "Gates",
    "LSTMCell",
    "LeakyRNNCell",
    "SimpleRNNCell",
    "State",
    "catalog",
    "get",
    "names",
    "register",
]
