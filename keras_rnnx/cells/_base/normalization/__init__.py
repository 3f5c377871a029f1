"""Normalization inside of a recurrent cell."""

from keras_rnnx.cells._base.normalization.base import (
    EPSILON,
    Normalization,
    exact,
    over_units,
)
from keras_rnnx.cells._base.normalization.batch import BatchNormalization
from keras_rnnx.cells._base.normalization.layer import LayerNormalization

__all__ = [
    "EPSILON",
    "BatchNormalization",
    "LayerNormalization",
    "Normalization",
    "exact",
    "over_units",
]
