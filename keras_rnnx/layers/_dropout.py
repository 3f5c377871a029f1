"""Dropout before, between and after the layers of a stack."""

from __future__ import annotations

from typing import Any

import keras


def dropout_layer(
    rate: float, mask: str, always: bool, seed: int | None, dtype: Any
) -> keras.layers.Layer:
    """A dropout layer.

    Args:
        rate: the rate.
        mask: "step": a new mask at every step; "sequence": one mask for all steps.
        always: whether to drop in inference too.
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
    """A mixin: drops in inference as in training."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        return super().call(inputs, training=True)  # type: ignore[misc]


class _AlwaysDropout(_Always, keras.layers.Dropout):
    pass


class _AlwaysSpatialDropout1D(_Always, keras.layers.SpatialDropout1D):
    pass
