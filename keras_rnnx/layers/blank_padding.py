"""Turns padding into certain blanks, so that CTC needs no lengths."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

IMPOSSIBLE = -1e9


@keras.saving.register_keras_serializable("keras_rnnx")
class BlankPadding(keras.layers.Layer):
    """Makes masked steps certain blanks, which add nothing to a labelling.

    `keras.losses.CTC` counts all steps of a padded batch. After this layer the loss and
    its gradients are those of each sequence alone, if the padding is at one end. (A
    blank in the middle of a sequence allows the same label twice in a row.)

    Args:
        **kwargs: arguments of `keras.layers.Layer`, as `name`.

    Call arguments:
        inputs: logits `(batch, time, classes + 1)`; class 0 is the blank.
        mask: boolean `(batch, time)`; False marks steps of padding.

    Returns:
        The logits; at masked steps 0 for the blank and -1e9 (float16: -30000) for all
        other classes. There is no Keras mask.

    Example:

    >>> x, mask = np.ones((1, 2, 3)), np.array([[True, False]])
    >>> y = keras_rnnx.layers.BlankPadding()(x, mask=mask)
    >>> ops.convert_to_numpy(y)[0, :, 0].tolist()
    [1.0, 0.0]
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return inputs
        large = -3e4 if self.compute_dtype == "float16" else IMPOSSIBLE
        classes = ops.arange(inputs.shape[-1])
        blank = ops.cast(ops.where(classes == 0, 0.0, large), inputs.dtype)
        return ops.where(ops.expand_dims(ops.cast(mask, "bool"), -1), inputs, blank)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None: losses must not leave steps out."""

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The shape of the inputs."""
        return tuple(input_shape)
