"""The initializer of np-RNN."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_rnnx")
class NormalizedPositiveDefinite(keras.initializers.Initializer):
    """A random positive definite matrix whose largest eigenvalue is 1.

    `U = (A + I) / e` with `A = Rᵀ R / n`, `R` standard normal `(n, n)` and `e` the
    largest eigenvalue of `A + I`: one direction is kept for ever, all others decay.
    Talathi & Vartak 2015, arXiv:1511.03771. For several gates each has a block.

    Args:
        seed: an integer, a `keras.random.SeedGenerator` or None. Default None: random.

    Raises:
        ValueError: when called for a shape that is not `(n, k n)`.

    Example:

    >>> matrix = NormalizedPositiveDefinite(seed=1)((4, 4))
    >>> round(float(keras.ops.max(keras.ops.eigh(matrix)[0])), 5)
    1.0
    """

    def __init__(self, seed: Any = None):
        self._init_seed = seed
        self.seed = seed if seed is not None else keras.random.SeedGenerator()

    def __call__(self, shape, dtype=None):
        if len(shape) != 2 or shape[1] % shape[0]:
            raise ValueError(
                f"NormalizedPositiveDefinite makes matrices (n, n), or (n, k n) for k "
                f"gates; received shape {tuple(shape)}."
            )
        n, gates = shape[0], shape[1] // shape[0]
        random = keras.random.normal((gates, n, n), dtype="float32", seed=self.seed)
        positive = ops.swapaxes(random, 1, 2) @ random / n + ops.eye(n)
        largest = ops.max(ops.eigh(positive)[0], axis=-1)
        blocks = positive / ops.reshape(largest, (-1, 1, 1))
        matrix = ops.reshape(ops.transpose(blocks, (1, 0, 2)), shape)
        return ops.cast(matrix, dtype or keras.config.floatx())

    def get_config(self):
        return {"seed": keras.saving.serialize_keras_object(self._init_seed)}
