"""Symbols whose order matters, far apart and among distractors."""

from __future__ import annotations

import numpy as np

from keras_rnnx._numbers import integer

# A and B matter, the four others distract.
SYMBOLS = 6


def temporal_order(
    random: np.random.Generator, size: int, length: int, relevant: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """The temporal order problem of Hochreiter & Schmidhuber 1997.

    Each step shows one of six symbols. Two or three of them, each A or B, stand at
    random steps of certain tenths of the sequence; all others are distractors. The
    class says which ones they were, in which order: AA, AB, BA or BB, or the eight
    from AAA to BBB. Two stand in the second and in the fifth tenth, as in Pascanu,
    Mikolov & Bengio 2013, arXiv:1211.5063; three begin at 10, 33 and 66 hundredths, as
    in experiment 6b of 1997.

    Args:
        random: the generator to draw from.
        size: number of sequences.
        length: number of steps, at least 10.
        relevant: number of symbols that matter, 2 or 3. Default 2.

    Returns:
        Sequences, float32 `(size, length, 6)`, one-hot, and classes, integers
        `(size,)`.

    Raises:
        ValueError: if an argument is not an integer, or out of range.

    Example:

    >>> x, y = keras_rnnx.datasets.drawn.temporal_order(np.random.default_rng(0), 4, 20)
    >>> x.shape, y.shape
    ((4, 20, 6), (4,))
    """
    integer("size", size, least=1)
    integer("length", length, least=10)
    if relevant not in (2, 3):
        raise ValueError(f"`relevant` is 2 or 3, received {relevant!r}.")
    symbols = random.integers(2, SYMBOLS, (size, length))
    rows, tenth = np.arange(size), length // 10
    starts = (
        [tenth, 4 * tenth]
        if relevant == 2
        else [tenth, 33 * length // 100, 66 * length // 100]
    )
    steps = [random.integers(start, start + tenth, size) for start in starts]
    shown = random.integers(0, 2, (relevant, size))
    for step, symbol in zip(steps, shown):
        symbols[rows, step] = symbol
    weights: np.ndarray = 2 ** np.arange(relevant)[::-1]
    return np.eye(SYMBOLS, dtype="float32")[symbols], weights @ shown
