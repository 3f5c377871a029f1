"""The mask that Keras attaches to a tensor."""

from __future__ import annotations

from typing import Any

import keras


class _MaskOf(keras.layers.Layer):
    """Returns its mask. Keras has no other public way to read the mask of a tensor."""

    def __init__(self) -> None:
        super().__init__(name="mask_of")
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        return [] if mask is None else mask


def mask_of(tensor: Any) -> Any:
    """The mask of a tensor, or None."""
    if not keras.ops.is_tensor(tensor):
        return None
    mask = _MaskOf()(tensor)
    return None if isinstance(mask, list) else mask
