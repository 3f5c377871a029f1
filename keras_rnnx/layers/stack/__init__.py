"""Layers on top of each other."""

from keras_rnnx.layers.stack.gated_feedback import GatedFeedbackCell
from keras_rnnx.layers.stack.stack import Stack

__all__ = ["GatedFeedbackCell", "Stack"]
