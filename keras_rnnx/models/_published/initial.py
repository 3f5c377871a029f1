"""Uniform first weights, biases among them."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnx.cells import registry


def uniform(scale: float) -> keras.initializers.Initializer:
    """An initializer between -scale and scale, with draws of its own."""
    return keras.initializers.RandomUniform(-scale, scale)


def arguments_of_cell(cell: Any, scale: float) -> dict[str, Any]:
    """Arguments of a cell all of whose weights start between -scale and scale.

    Args:
        cell: as for `keras_rnnx.layers.Stack`.
        scale: the scale.
    """
    names = ("kernel_initializer", "recurrent_initializer", "bias_initializer")
    initial = {name: uniform(scale) for name in names}
    found = registry.lookup(cell) if isinstance(cell, str) else cell
    # Else the forget gate would start open.
    if "unit_forget_bias" in getattr(found, "options", ()):
        initial["unit_forget_bias"] = False
    return initial
