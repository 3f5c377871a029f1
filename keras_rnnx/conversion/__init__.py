"""Models on keras_rnnx instead of on the recurrent layers of Keras."""

from keras_rnnx.conversion.conversion import convert
from keras_rnnx.conversion.report import Conversion, Converted

__all__ = ["Conversion", "Converted", "convert"]
