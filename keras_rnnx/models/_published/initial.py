"""Initial weights that are uniform, biases too."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnx.cells import registry


def uniform(scale: float) -> keras.initializers.Initializer:
    """A new initializer: uniform between -scale and scale."""
    return keras.initializers.RandomUniform(-scale, scale)


def arguments_of_cell(cell: Any, scale: float) -> dict[str, Any]:
    """Arguments of a cell whose weights all start between -scale and scale.

    Args:
        cell: as for `keras_rnnx.layers.Stack`.
        scale: the scale.
    """
    names = ("kernel_initializer", "recurrent_initializer", "bias_initializer")
    initial = {name: uniform(scale) for name in names}
    chosen = registry.lookup(cell) if isinstance(cell, str) else cell
    # Otherwise the forget gate would start open.
    if "unit_forget_bias" in getattr(chosen, "options", ()):
        initial["unit_forget_bias"] = False
    return initial
