"""Dropout that stands around the layers of a stack."""

from __future__ import annotations

from typing import Any

import keras


def dropout_layer(
    rate: float, mask: str, always: bool, seed: int | None, dtype: Any
) -> keras.layers.Layer:
    """A layer that drops.

    Args:
        rate: the rate.
        mask: "step": at every step anew; "sequence": a feature at all steps.
        always: whether in inference too.
        seed: integer or None.
        dtype: policy of the layer.
    """
    kinds = {
        ("step", False): keras.layers.Dropout,
        ("step", True): _AlwaysDropout,
        ("sequence", False): keras.layers.SpatialDropout1D,
        ("sequence", True): _AlwaysSpatialDropout1D,
    }
    return kinds[mask, always](rate, seed=seed, dtype=dtype)


class _Always:
    """A mixin: inference is as training."""

    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


class _AlwaysDropout(_Always, keras.layers.Dropout):
    pass


class _AlwaysSpatialDropout1D(_Always, keras.layers.SpatialDropout1D):
    pass
