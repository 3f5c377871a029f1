"""An initializer for each gate."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_rnnx import _gates
from keras_rnnx.initializers.seeds import apart

if TYPE_CHECKING:
    from keras_rnnx.cells import Cell


@keras.saving.register_keras_serializable("keras_rnnx", name="PerGateInitializer")
class PerGate(keras.initializers.Initializer):
    """Initializes the block of each gate separately.

    A kernel holds the matrices of all gates, and Keras initializes it as one matrix:
    with "orthogonal" no gate's matrix is orthogonal, and with "glorot_uniform" all are
    too small, since the other gates count as outputs.

    For kernels, recurrent kernels and biases of cells of keras_rnnx. For a bias it
    decides for all gates, so that `unit_forget_bias` has no effect. No two gates get
    the same draw: the first uses the seed of the initializer, the others use seeds that
    are derived from it. In other layers it recognizes the gates of recurrent kernels
    `(n, k n)` by their shape.

    Args:
        initializer: in any form that `keras.initializers.get` takes, for all gates; or
            a dict of them by gate, where "default" is for the other gates.

    Raises:
        ValueError: when a cell is built without these gates, or with gates that have no
            initializer; in other layers, if the shape does not show the gates.

    Example:

    >>> layer = keras_rnnx.layers.LSTM(
    ...     4,
    ...     recurrent_initializer=PerGate("orthogonal"),
    ...     bias_initializer=PerGate({"o": "ones", "default": "zeros"}),
    ... )
    >>> layer.build((None, None, 3))
    >>> forget = ops.convert_to_numpy(layer.cell.recurrent_kernel)[:, 4:8]
    >>> np.allclose(forget.T @ forget, np.eye(4), atol=1e-5)
    True
    """

    _by_gate: list[Any] | None = None

    def __init__(self, initializer: Any):
        self.initializer = _gates.resolved(initializer, keras.initializers.get)
        resolved = self.initializer
        for item in resolved.values() if isinstance(resolved, dict) else [resolved]:
            if item is None:
                raise ValueError(
                    f"PerGate needs an initializer for each gate, received "
                    f"{initializer!r}."
                )

    def bind(self, cell: Cell, weight: str) -> PerGate:
        """This initializer for a weight of a cell."""
        new = copy.copy(self)
        new._by_gate = self.of_gates(cell, weight)
        return new

    def of_gates(self, cell: Cell, weight: str) -> list[Any]:
        """The object for each gate of a weight of a cell."""
        return _gates.by_gate(self.initializer, cell, weight, complete=True)

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        by_gate = self._by_gate
        if by_gate is None:
            by_gate = _gates.guessed(self.initializer, shape)
        # Gates that share an initializer get separate ones.
        turn = {id(item): iter(apart(item, len(by_gate))) for item in by_gate}
        shape = (*shape[:-1], shape[-1] // len(by_gate))
        blocks = [next(turn[id(item)])(shape, dtype=dtype) for item in by_gate]
        return ops.concatenate(blocks, axis=-1)

    def get_config(self) -> dict[str, Any]:
        config = _gates.serialized(self.initializer, keras.initializers.serialize)
        return {"initializer": config}
