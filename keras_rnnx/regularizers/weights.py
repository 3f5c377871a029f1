"""Penalties on the weights of a cell, by gate."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_rnnx import _gates
from keras_rnnx._numbers import number

if TYPE_CHECKING:
    from keras_rnnx.cells import Cell


@keras.saving.register_keras_serializable("keras_rnnx")
class SoftOrthogonal(_gates.Recurrent, keras.regularizers.Regularizer):
    """Pulls the recurrent matrix of each gate towards an orthogonal one.

    `rate * sum((Uᵀ U - I) ** 2)`, summed over the gates. Orthogonal matrices keep the
    norm of states and gradients. Vorontsov, Trabelsi, Kadoury & Pal 2017,
    arXiv:1702.00071, call it the soft constraint.

    Args:
        rate: the strength, at least 0. Default 0.01.

    Raises:
        ValueError: for a rate out of range, and for any weight but a recurrent kernel,
            `(n, k n)`.

    Example:

    >>> float(SoftOrthogonal(0.5)(2 * ops.eye(3)))
    13.5
    """

    def __init__(self, rate: float = 0.01):
        self.rate = _rate("rate", rate)

    def __call__(self, x: Any) -> Any:
        x = _gates.full(x)
        n, gates = _gates.square(type(self).__name__, x.shape)
        blocks = _gates.stacked(x, gates)
        away = ops.transpose(blocks, (0, 2, 1)) @ blocks - ops.eye(n, dtype=x.dtype)
        return self.rate * ops.sum(away * away)

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate}


@keras.saving.register_keras_serializable("keras_rnnx", name="PerGateRegularizer")
class PerGate(keras.regularizers.Regularizer):
    """Regularizes the block of each gate separately.

    For kernels, recurrent kernels and biases of cells of keras_rnnx. In other layers it
    recognizes the gates of recurrent kernels `(n, k n)` by their shape.

    Args:
        regularizer: in any form that `keras.regularizers.get` takes, for all gates; or
            a dict of them by gate, where "default" is for the other gates. Gates
            without one, or with None, are not regularized.

    Raises:
        ValueError: for `GradientFlow`; when a cell without these gates is built; in
            other layers, if the shape does not show the gates.

    Example:

    >>> forget = PerGate({"f": keras.regularizers.L2(0.5)})
    >>> layer = keras_rnnx.layers.LSTM(2, bias_regularizer=forget)
    >>> layer.build((None, None, 3))
    >>> float(ops.convert_to_numpy(layer.losses[0]))
    1.0
    """

    _by_gate: list[Any] | None = None

    def __init__(self, regularizer: Any):
        self.regularizer = resolved = _gates.resolved(
            regularizer, keras.regularizers.get
        )
        for item in resolved.values() if isinstance(resolved, dict) else [resolved]:
            if getattr(item, "gradient_flow", 0.0):
                raise ValueError(
                    "GradientFlow is about all gates together: PerGate cannot hold it. "
                    "Pass regularizers.Sum(GradientFlow(...), PerGate(...))."
                )

    def bind(self, cell: Cell, weight: str) -> PerGate:
        """This regularizer for a weight of a cell."""
        new = copy.copy(self)
        new._by_gate = self.of_gates(cell, weight)
        return new

    def of_gates(self, cell: Cell, weight: str) -> list[Any]:
        """The object for each gate of a weight of a cell."""
        return _gates.by_gate(self.regularizer, cell, weight, complete=False)

    def __call__(self, x: Any) -> Any:
        x = ops.convert_to_tensor(x)
        by_gate = self._by_gate
        if by_gate is None:
            by_gate = _gates.guessed(self.regularizer, x.shape)
        blocks = zip(by_gate, ops.split(x, len(by_gate), axis=-1))
        penalties = [penalty(block) for penalty, block in blocks if penalty is not None]
        return sum(penalties, start=ops.zeros((), dtype=x.dtype))

    def get_config(self) -> dict[str, Any]:
        config = _gates.serialized(self.regularizer, keras.regularizers.serialize)
        return {"regularizer": config}


def _rate(name: str, value: Any) -> float:
    value = number(name, value)
    if value < 0:
        raise ValueError(f"`{name}` must not be negative, received {value!r}.")
    return value
