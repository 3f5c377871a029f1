"""The penalty on gradients that vanish or explode from step to step."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_rnnx._numbers import number

if TYPE_CHECKING:
    from keras_rnnx.cells import Cell


@keras.saving.register_keras_serializable("keras_rnnx")
class GradientFlow(keras.regularizers.Regularizer):
    """Keeps the length of the gradient from step to step: for `recurrent_regularizer`.

    `rate * sum_k (|dE/dh_(k+1) · dh_(k+1)/dh_k| / |dE/dh_(k+1)| - 1)²`, summed over the
    steps, the mean over the batch. Only the immediate part of its derivative with
    respect to the recurrent kernel `U` is used: states and gradients count as
    constants. Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063 (`Ω` in the paper).

    The penalty needs the gradients of the loss, so it is added to the gradient of `U`
    in the backward pass, and the loss that Keras reports does not include it. It fits
    cells with one state and without a product with `U` in the middle of a step. It runs
    on the fused engine.

    Args:
        rate: weight of the penalty, greater than 0. Default 1.

    Raises:
        ValueError: for a rate that is not positive; when a layer is built or trained
            that it does not fit; when it is called as the regularizer of anything but
            the recurrent kernel of a keras_rnnx cell.

    Example:

    >>> layer = keras_rnnx.layers.SimpleRNN(
    ...     50, recurrent_regularizer=GradientFlow(4.0)
    ... )
    >>> layer(np.ones((2, 5, 3), "float32")).shape
    (2, 50)
    """

    _bound = False

    def __init__(self, rate: float = 1.0):
        self.rate = number("rate", rate)
        if self.rate <= 0:
            raise ValueError(
                f"GradientFlow's `rate` must be greater than 0, received {rate!r}."
            )

    @property
    def gradient_flow(self) -> float:
        """The rate, which the engines read."""
        return self.rate

    def bind(self, cell: Cell, weight: str) -> GradientFlow:
        """This penalty for the weight of a cell, if it fits."""
        # A model uses the global policy, which decides on the scaling of the loss.
        policies = cell.dtype_policy, keras.config.dtype_policy()
        name = type(cell).__name__
        if weight != "recurrent_kernel":
            why = f"gradients do not flow from step to step through {weight}"
        elif len(cell.states) > 1:
            why = f"{name} has the states {', '.join(cell.states)}, not one"
        elif cell.late:
            why = f"gate {cell.late[0]!r} of {name} multiplies in the middle of a step"
        elif "float16" in [policy.compute_dtype for policy in policies]:
            why = "in float16 the loss is scaled, which the penalty must not be"
        else:
            new = copy.copy(self)
            new._bound = True
            return new
        raise ValueError(
            f"GradientFlow does not fit here: {why}. It is a recurrent_regularizer for "
            f"cells with one state, such as SimpleRNN, LeakyRNN, GRU or UGRNN."
        )

    def __call__(self, x: Any) -> Any:
        """Nothing: the penalty is not a function of the weight alone."""
        if not self._bound:
            raise ValueError(
                "GradientFlow is a recurrent_regularizer for layers of keras_rnnx with "
                "one state, such as SimpleRNN, LeakyRNN, GRU or UGRNN, and has no "
                "effect elsewhere: it was passed for activities, or to a Keras layer."
            )
        return ops.zeros((), dtype=x.dtype)

    def get_config(self) -> dict[str, float]:
        return {"rate": self.rate}
