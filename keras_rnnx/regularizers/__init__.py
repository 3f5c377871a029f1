"""Regularizers of recurrent weights and of the outputs of recurrent layers."""

from keras_rnnx.regularizers.gradient_flow import GradientFlow

__all__ = ["GradientFlow"]
