"""Constraints on numbers one by one."""

from __future__ import annotations

import keras
from keras import ops

from keras_rnnx._numbers import integer


@keras.saving.register_keras_serializable("keras_rnnx")
class UnitRange(keras.constraints.Constraint):
    """Keeps recurrent weights `u` of single units within `abs(u) <= 2 ** (1 / steps)`.

    Over `steps` steps a state of an independently recurrent network is then multiplied
    by 2 at most, and so is a gradient. Li, Li, Cook, Zhu & Gao 2018, arXiv:1803.04831.

    Args:
        steps: length of the sequences, at least 1.

    Raises:
        ValueError: if `steps` is not such an integer.

    Example:

    >>> ops.convert_to_numpy(UnitRange(1)(np.array([-3.0, 0.5, 2.5]))).tolist()
    [-2.0, 0.5, 2.0]
    """

    def __init__(self, steps: int):
        self.steps = integer("steps", steps, least=1)

    def __call__(self, w):
        bound = 2.0 ** (1 / self.steps)
        return ops.clip(ops.convert_to_tensor(w), -bound, bound)

    def get_config(self):
        return {"steps": self.steps}
