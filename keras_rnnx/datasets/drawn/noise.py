"""Sequences followed by noise."""

from __future__ import annotations

import numpy as np

from keras_rnnx._numbers import integer


def noise_padded(
    random: np.random.Generator, sequences: np.ndarray, length: int
) -> np.ndarray:
    """Sequences that go on with standard normal noise.

    What the sequence was has to be kept through steps that say nothing: Chang et al.
    2019, arXiv:1902.09689.

    Args:
        random: the generator to draw from.
        sequences: `(size, steps, features)`.
        length: number of steps with the noise, at least as many as there are.

    Returns:
        float32 `(size, length, features)`.

    Raises:
        ValueError: if `length` is not an integer, or less than the steps that are
            there.

    Example:

    >>> x = keras_rnnx.datasets.drawn.noise_padded(
    ...     np.random.default_rng(0), np.ones((2, 8, 3)), 100
    ... )
    >>> x.shape, x[:, :8].min(), abs(x[:, 8:].mean()) < 0.1
    ((2, 100, 3), np.float32(1.0), np.True_)
    """
    size, steps, features = sequences.shape
    integer("length", length, least=steps)
    noise = random.standard_normal((size, length - steps, features), dtype="float32")
    return np.concatenate([sequences.astype("float32"), noise], axis=1)
