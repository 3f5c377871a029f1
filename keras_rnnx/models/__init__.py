"""Language models as published, with the way each is trained."""

from keras_rnnx.models.awd_lstm import awd_lstm
from keras_rnnx.models.states import get_states, reset_states, set_states
from keras_rnnx.models.stepper import Stepper, stepper
from keras_rnnx.models.training import Training
from keras_rnnx.models.zaremba import zaremba, zaremba_training

__all__ = [
    "Stepper",
    "Training",
    "awd_lstm",
    "get_states",
    "reset_states",
    "set_states",
    "stepper",
    "zaremba",
    "zaremba_training",
]
