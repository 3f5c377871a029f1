"""Recurrent cells: each a declaration and an equation."""

from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.values import Gates, State
from keras_rnnx.cells._lowering.spec import GateWeights, Lowering
from keras_rnnx.cells.additive import (
    ATRCell,
    CFNCell,
    MinimalRNNCell,
    RANCell,
    STARCell,
)
from keras_rnnx.cells.antisymmetric import (
    AntisymmetricRNNCell,
    GatedAntisymmetricRNNCell,
)
from keras_rnnx.cells.complex import LRUCell
from keras_rnnx.cells.contextual import ClockworkRNNCell, SCRNCell
from keras_rnnx.cells.fast import FastGRNNCell, FastRNNCell
from keras_rnnx.cells.gated import JANETCell, LiGRUCell, MGU2Cell, MGUCell, UGRNNCell
from keras_rnnx.cells.gru import GRUCell
from keras_rnnx.cells.highway import RHNCell
from keras_rnnx.cells.independent import BRCCell, IndRNNCell, NBRCCell
from keras_rnnx.cells.leaky import LeakyRNNCell
from keras_rnnx.cells.linear import (
    MinGRUCell,
    MinLSTMCell,
    QRNNCell,
    SRUCell,
    TGRUCell,
    TLSTMCell,
    TRNNCell,
)
from keras_rnnx.cells.lstm import CIFGCell, LSTMCell
from keras_rnnx.cells.lstm_variants import (
    LSTMPCell,
    MultiplicativeLSTMCell,
    PeepholeLSTMCell,
    SLSTMCell,
)
from keras_rnnx.cells.mutants import MUT1Cell, MUT2Cell, MUT3Cell, NASCell
from keras_rnnx.cells.oscillator import CoRNNCell, LEMCell, UnICORNNCell
from keras_rnnx.cells.registry import CellInfo, catalog, get, names, register
from keras_rnnx.cells.simple import (
    IRNNCell,
    LeakyRectifierRNNCell,
    NPRNNCell,
    SimpleRNNCell,
)

__all__ = [
    "LRUCell",
    "QRNNCell",
    "TGRUCell",
    "TLSTMCell",
    "FastGRNNCell",
    "MGU2Cell",
    "LiGRUCell",
    "LeakyRectifierRNNCell",
    "RANCell",
    "CFNCell",
    "MinimalRNNCell",
    "ATRCell",
    "STARCell",
    "AntisymmetricRNNCell",
    "GatedAntisymmetricRNNCell",
    "ClockworkRNNCell",
    "SCRNCell",
    "RHNCell",
    "IndRNNCell",
    "BRCCell",
    "NBRCCell",
    "MinGRUCell",
    "MinLSTMCell",
    "SRUCell",
    "TRNNCell",
    "PeepholeLSTMCell",
    "MultiplicativeLSTMCell",
    "SLSTMCell",
    "MUT1Cell",
    "MUT2Cell",
    "MUT3Cell",
    "NASCell",
    "CoRNNCell",
    "UnICORNNCell",
    "LEMCell",
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
    "LSTMPCell",
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
