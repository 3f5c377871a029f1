"""Pools all steps of a sequence into one vector."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnx.cells._base import arguments


@keras.saving.register_keras_serializable("keras_rnnx")
class PoolSteps(keras.layers.Layer):
    """The mean or the maximum over the valid steps of each sequence.

    `keras.layers.GlobalMaxPooling1D` reads masked steps as well.

    Args:
        mode: "mean" or "max". Default "mean".
        **kwargs: arguments of `keras.layers.Layer`, as `name`.

    Call arguments:
        inputs: `(batch, time, features)`.
        mask: boolean `(batch, time)`, any pattern; False marks steps to skip.

    Returns:
        `(batch, features)`; zeros for a sequence that is masked as a whole.

    Raises:
        ValueError: for another mode.

    Example:

    >>> x, mask = np.array([[[1.0], [2.0], [9.0]]]), np.array([[True, True, False]])
    >>> pool = keras_rnnx.layers.PoolSteps("max")
    >>> ops.convert_to_numpy(pool(x, mask=mask)).tolist()
    [[2.0]]
    """

    def __init__(self, mode: str = "mean", **kwargs: Any):
        super().__init__(**kwargs)
        self.mode = arguments.choice("mode", mode, ("mean", "max"))
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            over = ops.mean if self.mode == "mean" else ops.max
            return over(inputs, axis=1)
        valid = ops.expand_dims(ops.cast(mask, "bool"), -1)
        if self.mode == "mean":
            total = ops.sum(ops.where(valid, inputs, ops.zeros_like(inputs)), axis=1)
            count = ops.sum(ops.cast(valid, "float32"), axis=1)
            return total / ops.cast(ops.maximum(count, 1.0), total.dtype)
        largest = ops.max(ops.where(valid, inputs, ops.full_like(inputs, -np.inf)), 1)
        return ops.where(ops.any(valid, axis=1), largest, ops.zeros_like(largest))

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None: the output has no steps."""

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """`(batch, features)`."""
        return (input_shape[0], input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer."""
        return {**super().get_config(), "mode": self.mode}
