"""Regularizers of recurrent weights and of the outputs of recurrent layers."""

from keras_rnnx.regularizers.gradient_flow import GradientFlow
from keras_rnnx.regularizers.sequences import (
    AR,
    TAR,
    NormStabilizer,
    SequenceRegularizer,
)
from keras_rnnx.regularizers.sum import Sum
from keras_rnnx.regularizers.weights import PerGate, SoftOrthogonal

__all__ = [
    "AR",
    "GradientFlow",
    "NormStabilizer",
    "PerGate",
    "SequenceRegularizer",
    "SoftOrthogonal",
    "Sum",
    "TAR",
]
