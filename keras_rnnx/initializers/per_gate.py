"""An initializer for each gate apart."""

from __future__ import annotations

import copy
from typing import Any

import keras
from keras import ops

from keras_rnnx import _gates
from keras_rnnx.initializers.seeds import apart


@keras.saving.register_keras_serializable("keras_rnnx", name="PerGateInitializer")
class PerGate(keras.initializers.Initializer):
    """Initializes the block of each gate apart.

    A kernel holds the gates side by side, and Keras initializes it as one matrix: with
    "orthogonal" no gate's own matrix is orthogonal, and with "glorot_uniform" all are
    too small, since the other gates count as outputs.

    For kernels, recurrent kernels and biases of cells of keras_rnnx; for a bias it
    decides for all gates, and `unit_forget_bias` has no effect. No two gates get the
    same draw: the first has the seed of the initializer, the others seeds made of it.
    In other layers it finds the gates of recurrent kernels `(n, k n)` by their shape.

    Args:
        initializer: what `keras.initializers.get` takes, for all gates; or a dict of
            such by the names of gates, where "default" stands for those left out.

    Raises:
        ValueError: when a cell is built that has not these gates, or gates that are
            left out; elsewhere, where the shape does not tell the gates.

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
        found = self.initializer
        for one in found.values() if isinstance(found, dict) else [found]:
            if one is None:
                raise ValueError(
                    f"PerGate needs an initializer for each gate, received "
                    f"{initializer!r}."
                )

    def bind(self, cell: Any, weight: str) -> PerGate:
        """This initializer for a weight of a cell."""
        new = copy.copy(self)
        new._by_gate = self.of_gates(cell, weight)
        return new

    def of_gates(self, cell: Any, weight: str) -> list[Any]:
        """What each gate of a weight of a cell has of it."""
        return _gates.by_gate(self.initializer, cell, weight, complete=True)

    def __call__(self, shape, dtype=None):
        found = self._by_gate
        if found is None:
            found = _gates.guessed(self.initializer, shape)
        # Gates that share an initializer get one each.
        turn = {id(one): iter(apart(one, len(found))) for one in found}
        shape = (*shape[:-1], shape[-1] // len(found))
        blocks = [next(turn[id(one)])(shape, dtype=dtype) for one in found]
        return ops.concatenate(blocks, axis=-1)

    def get_config(self):
        found = _gates.serialized(self.initializer, keras.initializers.serialize)
        return {"initializer": found}
