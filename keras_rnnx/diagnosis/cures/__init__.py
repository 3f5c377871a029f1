"""Cures: what each changes, which there are for a trouble, and trying them."""

from keras_rnnx.diagnosis.cures.cure import (
    Advice,
    Converted,
    Cure,
    InFront,
    OtherLayer,
    OtherOptimizer,
    StopEarly,
    Together,
)

__all__ = [
    "Advice",
    "Converted",
    "Cure",
    "InFront",
    "OtherLayer",
    "OtherOptimizer",
    "StopEarly",
    "Together",
]
