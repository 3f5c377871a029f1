"""Converts models with Keras' recurrent layers to keras_rnnx."""

from keras_rnnx.conversion.conversion import convert
from keras_rnnx.conversion.report import Conversion, Converted

__all__ = ["Conversion", "Converted", "convert"]
