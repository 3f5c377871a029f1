"""Initializers of recurrent weights, and of the bias of an output layer.

Initializers that depend on the gates of a cell get to know them when it is built.
"""

from keras_rnnx.initializers.base_rates import BaseRates
from keras_rnnx.initializers.leak_rates import LeakRates
from keras_rnnx.initializers.memory import Chrono, ForgetBias
from keras_rnnx.initializers.normalized_positive_definite import (
    NormalizedPositiveDefinite,
)
from keras_rnnx.initializers.per_gate import PerGate
from keras_rnnx.initializers.recurrent import (
    Antisymmetric,
    IdentityRecurrent,
    SpectralRadius,
)
from keras_rnnx.initializers.unit_range import UnitRange

__all__ = [
    "Antisymmetric",
    "BaseRates",
    "Chrono",
    "ForgetBias",
    "IdentityRecurrent",
    "LeakRates",
    "NormalizedPositiveDefinite",
    "PerGate",
    "SpectralRadius",
    "UnitRange",
]
