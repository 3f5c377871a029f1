"""Callbacks for training recurrent models."""

from keras_rnnx.callbacks.reset_states import ResetStates
from keras_rnnx.callbacks.swap_averages import SwapAverages
from keras_rnnx.callbacks.truncated_bptt import TruncatedBPTT

__all__ = ["ResetStates", "SwapAverages", "TruncatedBPTT"]
