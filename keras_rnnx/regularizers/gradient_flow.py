"""The penalty on gradients that vanish or explode from step to step."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_rnnx")
class GradientFlow(keras.regularizers.Regularizer):
    """Keeps the length of the gradient from step to step: for `recurrent_regularizer`.

    `rate * sum_k (|dE/dh_(k+1) · dh_(k+1)/dh_k| / |dE/dh_(k+1)| - 1)²`, summed over the
    steps, the mean over the batch. Of its derivative the immediate part for the
    recurrent kernel `U` is taken alone: states and gradients count as constants.
    Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063 (there `Ω`).

    It needs the gradients of the loss, and so adds to the gradient of `U` on the way
    back. The loss that Keras reports does not hold it. It fits cells with one state of
    which no gate multiplies by `U` in the middle of a step, and runs on the fused
    engine.

    Args:
        rate: weight of the penalty, greater than 0. Default 1.

    Raises:
        ValueError: for a rate that is not positive; when a layer is built where it
            does not fit.

    Example:

    >>> layer = keras_rnnx.layers.SimpleRNN(
    ...     50, recurrent_regularizer=GradientFlow(4.0)
    ... )
    >>> layer(np.ones((2, 5, 3), "float32")).shape
    (2, 50)
    """

    def __init__(self, rate: float = 1.0):
        if not rate > 0:
            raise ValueError(
                f"GradientFlow's `rate` must be greater than 0, received {rate!r}."
            )
        self.rate = float(rate)

    @property
    def gradient_flow(self) -> float:
        """What the engines read."""
        return self.rate

    def bind(self, cell: Any, weight: str) -> GradientFlow:
        """Checks that it fits the weight of a cell."""
        name = type(cell).__name__
        if weight != "recurrent_kernel":
            why = f"{weight} is not what gradients flow through from step to step"
        elif len(cell.states) > 1:
            why = f"{name} has the states {', '.join(cell.states)}, not one"
        elif cell.late:
            why = f"gate {cell.late[0]!r} of {name} multiplies in the middle of a step"
        elif cell.compute_dtype == "float16":
            why = "in float16 the loss is scaled, which the penalty must not be"
        else:
            return self
        raise ValueError(
            f"GradientFlow does not fit here: {why}. It is a recurrent_regularizer for "
            f"cells with one state, such as SimpleRNN, LeakyRNN, GRU or UGRNN."
        )

    def __call__(self, x: Any) -> Any:
        """Nothing: the penalty is not a function of the weight alone."""
        return ops.zeros((), dtype=x.dtype)

    def get_config(self) -> dict[str, float]:
        return {"rate": self.rate}
