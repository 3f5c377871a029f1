"""Metrics of sequence models, weighted by steps, whatever the batches are."""

from keras_rnnx.metrics.crf import CRFAccuracy
from keras_rnnx.metrics.edits import SequenceErrorRate, TokenErrorRate, edit_distance
from keras_rnnx.metrics.forecasts import (
    MeanAbsoluteScaledError,
    SymmetricMeanAbsolutePercentageError,
    seasonal_naive_error,
)
from keras_rnnx.metrics.frames import FrameAccuracy, FrameNLL
from keras_rnnx.metrics.steps import StepMetric
from keras_rnnx.metrics.tokens import BitsPerCharacter, Perplexity, TokenAccuracy

__all__ = [
    "BitsPerCharacter",
    "CRFAccuracy",
    "FrameAccuracy",
    "FrameNLL",
    "MeanAbsoluteScaledError",
    "Perplexity",
    "SequenceErrorRate",
    "StepMetric",
    "SymmetricMeanAbsolutePercentageError",
    "TokenAccuracy",
    "TokenErrorRate",
    "edit_distance",
    "seasonal_naive_error",
]
