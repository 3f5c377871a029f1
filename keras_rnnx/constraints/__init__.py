"""Constraints on recurrent weights."""

from keras_rnnx.constraints.elementwise import UnitRange
from keras_rnnx.constraints.per_gate import PerGate
from keras_rnnx.constraints.recurrent import Orthogonal, SpectralRadius

__all__ = ["Orthogonal", "PerGate", "SpectralRadius", "UnitRange"]
