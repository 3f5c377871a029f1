"""The bias of an output layer that starts at what is usual."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnx._errors import unknown

ACTIVATIONS = ("linear", "sigmoid", "softmax")


@keras.saving.register_keras_serializable("keras_rnnx")
class BaseRates(keras.initializers.Initializer):
    """The bias with which an output layer answers how often each label occurs.

    A label that is on in 3 % of the steps needs a bias of -3.5 before its inputs tell
    anything, and an optimizer with steps of 0.001 takes thousands of updates to get
    there. `log(p / (1 - p))` for logistic units, `log(p)` for a softmax, and the mean
    for linear units is where a layer with small weights should start. Lin, Goyal,
    Girshick, He & Dollár 2017, arXiv:1708.02002, start a detector of rare objects this
    way.

    Args:
        rates: for "sigmoid" and "softmax" the share of targets with each label, in (0,
            1); for "linear" the mean of each value. One number, or one for each output.
            `keras_rnnx.datasets.Task.base_rates` has them. A label that never occurs
            should count as one that occurs once.
        activation: of the output layer: "linear", "sigmoid" or "softmax". Default
            "sigmoid".

    Raises:
        ValueError: for another activation, numbers that are not finite, and shares
            outside of (0, 1); for a weight with another number of outputs.

    Example:

    >>> targets = np.array([[1, 0], [0, 0], [1, 1], [1, 0]])
    >>> layer = keras.layers.Dense(
    ...     2, "sigmoid", bias_initializer=BaseRates(targets.mean(0)))
    >>> np.round(ops.convert_to_numpy(layer(np.zeros((1, 8)))), 3).tolist()
    [[0.75, 0.25]]
    """

    def __init__(self, rates: Any, activation: str = "sigmoid"):
        if activation not in ACTIVATIONS:
            raise unknown("activation", activation, ACTIVATIONS)
        values = np.asarray(rates, "float64")
        shares = activation != "linear"
        if values.ndim > 1 or not np.all(np.isfinite(values)):
            raise ValueError(
                f"`rates` must be a number, or one for each output, received {rates!r}."
            )
        if shares and not np.all((values > 0) & (values < 1)):
            raise ValueError(
                f"`rates` of activation={activation!r} are shares above 0 and below 1, "
                f"received {rates!r}. Count one occurrence more of each label: "
                f"(count + 1) / (n + 2)."
            )
        self.rates, self.activation = values, activation

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        shape = tuple(shape)
        if self.rates.ndim and shape != self.rates.shape:
            raise ValueError(
                f"BaseRates has {len(self.rates)} rates and needs a bias of as many "
                f"outputs, received the shape {shape}."
            )
        bias = self.rates
        if self.activation != "linear":
            bias = np.log(bias)
        if self.activation == "sigmoid":
            bias = bias - np.log1p(-self.rates)
        dtype = dtype or keras.config.floatx()
        return ops.convert_to_tensor(np.broadcast_to(bias, shape), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"rates": self.rates.tolist(), "activation": self.activation}
