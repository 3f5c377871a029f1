"""Initializers of recurrent weights."""

from keras_rnnx.initializers.normalized_positive_definite import (
    NormalizedPositiveDefinite,
)

__all__ = ["NormalizedPositiveDefinite"]
