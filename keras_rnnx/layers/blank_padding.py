"""Scores for CTC that need no lengths."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

IMPOSSIBLE = -1e9


@keras.saving.register_keras_serializable("keras_rnnx")
class BlankPadding(keras.layers.Layer):
    """Makes masked steps blanks for certain, which add nothing to a labelling.

    `keras.losses.CTC` counts all steps of a padded batch. Behind this layer the loss
    and its gradients are those of each sequence alone, if its padding is at an end. (A
    blank in the middle of a sequence lets a label stand twice there.)

    Args:
        **kwargs: arguments of `keras.layers.Layer`, as `name`.

    Call arguments:
        inputs: logits `(batch, time, classes + 1)`, of which class 0 is the blank.
        mask: boolean `(batch, time)`; False marks steps of padding.

    Returns:
        The same; at masked steps 0 for the blank and -1e9 (float16: -30000) for all
        else. There is no Keras mask.

    Example:

    >>> x, mask = np.ones((1, 2, 3)), np.array([[True, False]])
    >>> y = keras_rnnx.layers.BlankPadding()(x, mask=mask)
    >>> ops.convert_to_numpy(y)[0, :, 0].tolist()
    [1.0, 0.0]
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        if mask is None:
            return inputs
        large = -3e4 if self.compute_dtype == "float16" else IMPOSSIBLE
        classes = ops.arange(inputs.shape[-1])
        blank = ops.cast(ops.where(classes == 0, 0.0, large), inputs.dtype)
        return ops.where(ops.expand_dims(ops.cast(mask, "bool"), -1), inputs, blank)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None: no loss is to leave steps out."""

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """That of the inputs."""
        return tuple(input_shape)
