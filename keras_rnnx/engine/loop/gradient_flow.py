"""The gradient of the penalty on gradients that shrink or grow from step to step."""

from __future__ import annotations

import keras
from keras import ops

from keras_rnnx.engine.backends.protocol import Tensor

# A smaller squared norm is not a gradient to keep: the loss does not reach that step.
LEAST = 1e-30


def cotangent(weight: float, after: Tensor, before: Tensor) -> Tensor:
    """The derivative of the penalty with respect to the cotangents before each step.

    The penalty is `weight * sum_t (|before_t| / |after_t| - 1)²`, the mean over the
    batch, where `before_t` is `after_t` times the derivative of the state after step t
    with respect to the state before it. See `keras_rnnx.regularizers.GradientFlow`.

    Args:
        weight: of the penalty.
        after: cotangents of the states after each step, `(time, batch, units)`.
        before: cotangents of the states before each step, in the same shape.
    """
    dtype = keras.backend.standardize_dtype(after.dtype)
    exact = "float64" if dtype == "float64" else "float32"
    after, before = ops.cast(after, exact), ops.cast(before, exact)

    def norm(tensor: Tensor) -> tuple[Tensor, Tensor]:
        square = ops.sum(tensor * tensor, axis=-1, keepdims=True)
        # The operator, since `ops.sqrt` computes float64 in float32 on some backends.
        least = ops.zeros_like(square) + LEAST
        return ops.where(square > LEAST, square, least) ** 0.5, square > LEAST

    (a, reached), (b, left) = norm(after), norm(before)
    factor = 2 * weight * (b / a - 1) / (a * b)
    factor = ops.where(ops.logical_and(reached, left), factor, ops.zeros_like(factor))
    samples = ops.shape(after)[1]
    if not isinstance(samples, int):
        samples = ops.cast(samples, exact)
    return ops.cast(factor * before / samples, dtype)
