"""Recurrent layers, with the names and arguments Keras gives them.

There is a layer for every cell of the catalogue, named as the cell without `Cell`.
"""

from keras_rnnx.layers.adaptive_softmax import AdaptiveSoftmax
from keras_rnnx.layers.bidirectional import Bidirectional
from keras_rnnx.layers.blank_padding import BlankPadding
from keras_rnnx.layers.crf import CRF
from keras_rnnx.layers.embedding import Embedding
from keras_rnnx.layers.gated_recursive_conv import GatedRecursiveConv
from keras_rnnx.layers.masking import MaskPadding
from keras_rnnx.layers.named import NAMED as _NAMED
from keras_rnnx.layers.pooling import PoolSteps
from keras_rnnx.layers.recurrent import RNN
from keras_rnnx.layers.stack import GatedFeedbackCell, Stack

globals().update(_NAMED)

__all__ = [
    "AdaptiveSoftmax",
    "Bidirectional",
    "BlankPadding",
    "CRF",
    "Embedding",
    "GatedFeedbackCell",
    "GatedRecursiveConv",
    "MaskPadding",
    "PoolSteps",
    "RNN",
    "Stack",
    *_NAMED,
]
