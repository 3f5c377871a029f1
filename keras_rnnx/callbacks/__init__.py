"""Callbacks for training recurrent models."""

from keras_rnnx.callbacks.backup import BackupAndRestore
from keras_rnnx.callbacks.divergence_guard import DivergenceError, DivergenceGuard
from keras_rnnx.callbacks.divergence_report import DivergenceReport, LayerNorms
from keras_rnnx.callbacks.monitor import Monitor, MonitorWarning
from keras_rnnx.callbacks.reset_states import ResetStates
from keras_rnnx.callbacks.swap_averages import SwapAverages
from keras_rnnx.callbacks.truncated_bptt import TruncatedBPTT

__all__ = [
    "BackupAndRestore",
    "DivergenceError",
    "DivergenceGuard",
    "DivergenceReport",
    "LayerNorms",
    "Monitor",
    "MonitorWarning",
    "ResetStates",
    "SwapAverages",
    "TruncatedBPTT",
]
