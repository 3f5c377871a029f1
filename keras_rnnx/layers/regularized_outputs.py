"""Regularizers of the outputs of all steps, for layers that know the mask."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx.engine import masks
from keras_rnnx.layers import checks
from keras_rnnx.regularizers.sum import for_layer


class RegularizedOutputs:
    """Base of layers with `return_sequences`, `go_backwards` and an
    `activity_regularizer` that may be a list, and may read the outputs of all steps."""

    _activity_regularizer = None

    @property
    def activity_regularizer(self) -> Any:
        """The regularizer of outputs, or None. Can be set to a list too."""
        return self._activity_regularizer

    @activity_regularizer.setter
    def activity_regularizer(self, value: Any) -> None:
        self._activity_regularizer = for_layer(value)

    def _tell_regularizer(self, mask: Any) -> None:
        """Passes the mask `(batch, time)` of a call, or None, to the regularizer.

        Keras calls the regularizer with the outputs of this call, without their mask.
        """
        if not checks.activity_regularizer(self):
            return
        if mask is not None:
            mask = masks.column(keras.tree.flatten(mask)[0])[..., 0]
            # In the order of the outputs.
            reads_backwards = getattr(self, "go_backwards", False)
            mask = ops.flip(mask, axis=1) if reads_backwards else mask
        self.activity_regularizer.begin(mask)
