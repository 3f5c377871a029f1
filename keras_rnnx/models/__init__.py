"""A model for each kind of sequence task, language models as published, decoding."""

from keras_rnnx._chains import viterbi
from keras_rnnx.models._decoding.ctc_decode import ctc_decode
from keras_rnnx.models._decoding.decode import decode
from keras_rnnx.models._decoding.generate import generate
from keras_rnnx.models._one_step.stepper import Stepper, stepper
from keras_rnnx.models._published.awd_lstm import awd_lstm
from keras_rnnx.models._published.training import Training
from keras_rnnx.models._published.zaremba import zaremba, zaremba_training
from keras_rnnx.models.classifier import classifier, regressor
from keras_rnnx.models.ctc_labeller import ctc_labeller
from keras_rnnx.models.encoder_decoder import encoder_decoder
from keras_rnnx.models.for_task import for_task
from keras_rnnx.models.forecaster import forecaster
from keras_rnnx.models.language_model import language_model
from keras_rnnx.models.next_step import next_step
from keras_rnnx.models.states import get_states, reset_states, set_states
from keras_rnnx.models.tagger import tagger

__all__ = [
    "Stepper",
    "Training",
    "awd_lstm",
    "classifier",
    "ctc_decode",
    "ctc_labeller",
    "decode",
    "encoder_decoder",
    "for_task",
    "forecaster",
    "generate",
    "get_states",
    "language_model",
    "next_step",
    "regressor",
    "reset_states",
    "set_states",
    "stepper",
    "tagger",
    "viterbi",
    "zaremba",
    "zaremba_training",
]
