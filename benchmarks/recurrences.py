"""The ways to compute a linear recurrence, beside each other."""

from __future__ import annotations

import keras
from keras import ops

from benchmarks import peers, timing
from benchmarks.linear_recurrence import complex_linear_recurrence, linear_recurrence
from keras_rnnx.engine.scan.algorithms import WAYS

KINDS = ("real", "complex")
PASSES = ("forward", "training")


class Recurrence(keras.layers.Layer):
    """A linear recurrence with coefficients and inputs of every step, and nothing else.

    Args:
        way: one of `WAYS`.
        complex: whether numbers are complex.
    """

    def __init__(self, way, complex, **kwargs):
        super().__init__(**kwargs)
        self.way, self.complex = way, complex

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.coefficient = self.add_weight(shape=shape, name="coefficient")
        self.angle = self.add_weight(shape=shape, name="angle")

    def call(self, inputs, training=False):
        x = ops.transpose(inputs, (1, 0, 2))
        size, b = ops.sigmoid(x * self.coefficient), x * self.angle
        zeros = ops.zeros_like(x[0])
        if not self.complex:
            return linear_recurrence(size, b, zeros, way=self.way)
        a = size * ops.cos(self.angle), size * ops.sin(self.angle)
        pairs = (b, b), (zeros, zeros)
        return complex_linear_recurrence(a, *pairs, way=self.way)[0]


def measure(name: str, size: tuple[int, ...], seconds: float) -> dict:
    """A row of all ways.

    Args:
        name: one of `KINDS`.
        size: batch, steps, inputs, units; there are no inputs but those of the units.
        seconds: for each pass.
    """
    batch, steps, _, units = size
    x = peers.inputs((batch, steps, units))
    layers = {way: Recurrence(way, name == "complex", name=way) for way in WAYS}
    for layer in layers.values():
        layer.build(x.shape)
    functions = {
        which: {way: getattr(timing, which)(layer, x) for way, layer in layers.items()}
        for which in PASSES
    }
    return timing.row(name, size, functions, seconds)
