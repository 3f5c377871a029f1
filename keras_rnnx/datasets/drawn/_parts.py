"""The parts of a task whose sequences are drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_rnnx._numbers import integer
from keras_rnnx.datasets._making.splitting import Split

Drawing = Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]
PARTS = ("train", "validation", "test")


def generator(seed: int, part: str) -> np.random.Generator:
    """The generator that a part is drawn from: "train", "validation" or "test".

    Each part has its own: another size of one leaves the others as they are.
    """
    return np.random.default_rng((seed, PARTS.index(part)))


def parts_and_options(
    draw: Drawing,
    least: int,
    length: int,
    train: int,
    validation: int,
    test: int,
    seed: int,
) -> tuple[list[Split], dict[str, int]]:
    """Draws the three parts of a task.

    Args:
        draw: from a generator, a number of sequences and their length to sequences and
            targets.
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
    parts = [
        Split(*draw(generator(seed, part), options[part], length)) for part in PARTS
    ]
    return parts, options
