"""A mask for padding that cannot be confused with data."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_rnnx")
class MaskPadding(keras.layers.Layer):
    """Masks the steps that are padded with NaN, and replaces them by zeros.

    `keras.layers.Masking` masks steps whose features are all zero, but silence in a
    recording or a constant sensor is zero too. No valid data is NaN.
    `keras_rnnx.datasets.PaddedBatches` pads with it.

    Args:
        **kwargs: arguments of `keras.layers.Layer`, as `name`.

    Call arguments:
        inputs: `(batch, time, features)`.

    Returns:
        The inputs with zeros in padded steps. The layers above receive a mask,
        `(batch, time)`. A step with NaN in only some features is not padding: it stays,
        so that the loss shows it.

    Example:

    >>> x = np.array([[[1.0, 0.0], [0.0, 0.0], [np.nan, np.nan]]])
    >>> layer = keras_rnnx.layers.MaskPadding()
    >>> ops.convert_to_numpy(layer(x)).tolist()
    [[[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]]
    >>> ops.convert_to_numpy(layer.compute_mask(x)).tolist()
    [[True, True, False]]
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Which steps are neither padding nor masked before, `(batch, time)`."""
        valid = ops.logical_not(ops.all(ops.isnan(inputs), axis=-1))
        return valid if mask is None else ops.logical_and(valid, mask)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        valid = self.compute_mask(inputs)
        return ops.where(valid[..., None], inputs, ops.zeros_like(inputs))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The shape of the inputs."""
        return tuple(input_shape)
