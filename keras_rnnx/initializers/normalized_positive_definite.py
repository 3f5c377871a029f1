"""The initializer of np-RNN."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx._gates import Recurrent, flat, square
from keras_rnnx.initializers.seeds import Seeded


@keras.saving.register_keras_serializable("keras_rnnx")
class NormalizedPositiveDefinite(Recurrent, Seeded):
    """A random positive definite matrix whose largest eigenvalue is 1.

    `U = (A + I) / e` with `A = Rᵀ R / n`, `R` standard normal `(n, n)` and `e` the
    largest eigenvalue of `A + I`: one direction is kept for ever, all others decay.
    Talathi & Vartak 2015, arXiv:1511.03771. Each gate gets such a matrix.

    Args:
        seed: an integer, a `keras.random.SeedGenerator` or None. Default None: random.

    Raises:
        ValueError: for any weight but a recurrent kernel, `(n, k n)`.

    Example:

    >>> matrix = NormalizedPositiveDefinite(seed=1)((4, 4))
    >>> round(float(keras.ops.max(keras.ops.eigh(matrix)[0])), 5)
    1.0
    """

    def __init__(self, seed: Any = None):
        super().__init__(seed)

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        n, gates = square(type(self).__name__, shape)
        random = keras.random.normal((gates, n, n), dtype="float32", seed=self.seed)
        positive = ops.swapaxes(random, 1, 2) @ random / n + ops.eye(n)
        largest = ops.max(ops.eigh(positive)[0], axis=-1)
        blocks = positive / ops.reshape(largest, (-1, 1, 1))
        return ops.cast(flat(blocks), dtype or keras.config.floatx())
