"""What a diagnosis measures of a model: a module for each kind of measure."""

from keras_rnnx.diagnosis._measures import (
    cost,
    curves,
    denormals,
    distributions,
    dynamics,
    gates,
    gradients,
    memory,
    rates,
    states,
)

__all__ = [
    "cost",
    "curves",
    "denormals",
    "distributions",
    "dynamics",
    "gates",
    "gradients",
    "memory",
    "rates",
    "states",
]
