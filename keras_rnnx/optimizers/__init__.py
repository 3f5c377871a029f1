"""Optimizers for recurrent models."""

from keras_rnnx.optimizers.ntasgd import NTASGD

__all__ = ["NTASGD"]
