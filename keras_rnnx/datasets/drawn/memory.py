"""What has to be kept over many steps: two values, a few symbols, one bit."""

from __future__ import annotations

import numpy as np

from keras_rnnx._numbers import integer


def adding(
    random: np.random.Generator, size: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """The adding problem of Hochreiter & Schmidhuber 1997.

    Each step has a value, uniform in [0, 1], and a marker, which is one at one step of
    each half of the sequence and zero elsewhere. The target is the sum of the two
    marked values.

    Args:
        random: the generator to draw from.
        size: number of sequences.
        length: number of steps, at least 2.

    Returns:
        Sequences, float32 `(size, length, 2)`, values then markers, and targets,
        float32 `(size, 1)`.

    Raises:
        ValueError: if `size` or `length` is not an integer, or too small.

    Example:

    >>> x, y = keras_rnnx.datasets.drawn.adding(np.random.default_rng(0), 8, 50)
    >>> x.shape, y.shape, bool(np.allclose((x[..., 0] * x[..., 1]).sum(1), y[:, 0]))
    ((8, 50, 2), (8, 1), True)
    """
    integer("size", size, least=1)
    integer("length", length, least=2)
    values = random.random((size, length), dtype="float32")
    rows = np.arange(size)
    first = random.integers(0, length // 2, size)
    second = random.integers(length // 2, length, size)
    markers = np.zeros_like(values)
    markers[rows, first] = markers[rows, second] = 1
    total = values[rows, first] + values[rows, second]
    return np.stack([values, markers], axis=-1), total[:, np.newaxis]


def copy_memory(
    random: np.random.Generator,
    size: int,
    length: int,
    symbols: int = 8,
    copied: int = 10,
) -> tuple[np.ndarray, np.ndarray]:
    """The copy memory problem of Hochreiter & Schmidhuber 1997.

    A sequence begins with `copied` symbols out of 1 ... `symbols`. Blanks (0) follow,
    `length` steps in all with the mark `symbols + 1` at the last of them, and then
    `copied` more blanks. The target is blank until the mark has been read, and then the
    symbols in their order. In the form of Arjovsky, Shah & Bengio 2016,
    arXiv:1511.06464. Without memory the best cross-entropy over all steps is
    `copied * log(symbols) / (length + 2 * copied)`.

    Args:
        random: the generator to draw from.
        size: number of sequences.
        length: number of steps between the symbols and their copy, at least 1.
        symbols: number of symbols. Default 8.
        copied: number of steps to copy. Default 10.

    Returns:
        Sequences and targets, int32 `(size, length + 2 * copied)`: of `symbols + 2`
        and of `symbols + 1` classes.

    Raises:
        ValueError: if an argument is not an integer, or too small.

    Example:

    >>> x, y = keras_rnnx.datasets.drawn.copy_memory(
    ...     np.random.default_rng(0), 1, 5, copied=3
    ... )
    >>> x, y
    (array([[7, 6, 5, 0, 0, 0, 0, 9, 0, 0, 0]], dtype=int32),
     array([[0, 0, 0, 0, 0, 0, 0, 0, 7, 6, 5]], dtype=int32))
    """
    integer("size", size, least=1)
    integer("length", length, least=1)
    integer("symbols", symbols, least=1)
    integer("copied", copied, least=1)
    drawn = random.integers(1, symbols + 1, (size, copied), dtype="int32")
    x: np.ndarray = np.zeros((size, length + 2 * copied), dtype="int32")
    y = np.zeros_like(x)
    x[:, :copied] = drawn
    x[:, copied + length - 1] = symbols + 1
    y[:, -copied:] = drawn
    return x, y


def parity(
    random: np.random.Generator, size: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """The parity of a sequence of bits: whether the number of ones is odd.

    Hochreiter & Schmidhuber 1997. Every bit turns the answer, so that no part of the
    sequence says anything about it.

    Args:
        random: the generator to draw from.
        size: number of sequences.
        length: number of steps, at least 1.

    Returns:
        Bits, float32 `(size, length, 1)`, and classes, int32 `(size,)`.

    Raises:
        ValueError: if `size` or `length` is not an integer, or too small.

    Example:

    >>> x, y = keras_rnnx.datasets.drawn.parity(np.random.default_rng(0), 3, 4)
    >>> x[..., 0].sum(1), y
    (array([3., 0., 3.], dtype=float32), array([1, 0, 1], dtype=int32))
    """
    integer("size", size, least=1)
    integer("length", length, least=1)
    bits = random.integers(0, 2, (size, length), dtype="int32")
    return bits[..., np.newaxis].astype("float32"), bits.sum(1, dtype="int32") % 2
