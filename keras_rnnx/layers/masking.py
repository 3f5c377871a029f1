"""A mask that no data can be taken for."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_rnnx")
class MaskPadding(keras.layers.Layer):
    """Masks the steps that are padded with NaN, and puts zeros there.

    `keras.layers.Masking` masks steps that are zero in all features, which silence in a
    recording or a constant sensor are too. No valid data is NaN.
    `keras_rnnx.datasets.PaddedBatches` pads with it.

    Args:
        **kwargs: arguments of `keras.layers.Layer`, as `name`.

    Call arguments:
        inputs: `(batch, time, features)`.

    Returns:
        The same with zeros in padded steps, and a mask, `(batch, time)`, for the layers
        behind. A step of which some features alone are NaN is not padding: it stays,
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

    def call(self, inputs, mask=None):
        valid = self.compute_mask(inputs)
        return ops.where(valid[..., None], inputs, ops.zeros_like(inputs))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """That of the inputs."""
        return tuple(input_shape)
