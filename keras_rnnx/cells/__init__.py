"""Recurrent cells: each a declaration and an equation."""

from keras_rnnx.cells.cell import Cell
from keras_rnnx.cells.fast import FastRNNCell
from keras_rnnx.cells.gated import JANETCell, MGUCell, UGRNNCell
from keras_rnnx.cells.gru import GRUCell
from keras_rnnx.cells.leaky import LeakyRNNCell
from keras_rnnx.cells.lowering import GateWeights, Lowering
from keras_rnnx.cells.lstm import CIFGCell, LSTMCell
from keras_rnnx.cells.registry import CellInfo, catalog, get, names, register
from keras_rnnx.cells.simple import IRNNCell, NPRNNCell, SimpleRNNCell
from keras_rnnx.cells.views import Gates, State

__all__ = [
    "CIFGCell",
    "Cell",
    "CellInfo",
    "FastRNNCell",
    "GRUCell",
    "GateWeights",
    "Gates",
    "IRNNCell",
    "JANETCell",
    "LSTMCell",
    "LeakyRNNCell",
    "Lowering",
    "MGUCell",
    "NPRNNCell",
    "SimpleRNNCell",
    "State",
    "UGRNNCell",
    "catalog",
    "get",
    "names",
    "register",
]
