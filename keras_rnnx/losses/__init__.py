"""Losses of sequences of classes."""

from keras_rnnx.losses.crf import CRF

__all__ = ["CRF"]
