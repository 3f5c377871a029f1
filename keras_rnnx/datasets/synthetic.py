"""The parts of a task whose sequences are drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_rnnx._numbers import integer
from keras_rnnx.datasets.splitting import Split


def drawn(
    sequences: Callable[[np.random.Generator, int, int], Split],
    least: int,
    length: int,
    train: int,
    validation: int,
    test: int,
    seed: int,
) -> tuple[list[Split], dict[str, int]]:
    """Draws the three parts of a task.

    Args:
        sequences: from a generator, a number of sequences and their length to a part.
        least: the smallest length.
        length, train, validation, test, seed: options of the task.

    Returns:
        The parts for training, validation and test, and the options.

    Raises:
        ValueError: for an option that is not an integer, or too small.
    """
    options = {
        "length": integer("length", length, least=least),
        "train": integer("train", train, least=1),
        "validation": integer("validation", validation, least=1),
        "test": integer("test", test, least=1),
        "seed": integer("seed", seed, least=0),
    }
    # A generator for each part: another size of one leaves the others as they are.
    parts = [
        sequences(np.random.default_rng((seed, part)), size, length)
        for part, size in enumerate((train, validation, test))
    ]
    return parts, options
