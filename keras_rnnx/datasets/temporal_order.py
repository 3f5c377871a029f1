"""Temporal order, a test of whether gradients reach back over long sequences."""

from __future__ import annotations

from keras_rnnx.datasets import drawn
from keras_rnnx.datasets.drawn._parts import parts_and_options
from keras_rnnx.datasets.kinds import Objective
from keras_rnnx.datasets.registry import register_task
from keras_rnnx.datasets.task import Task


@register_task("temporal_order")
def temporal_order(
    length: int = 100,
    train: int = 10_000,
    validation: int = 1_000,
    test: int = 1_000,
    seed: int = 0,
) -> Task:
    """The temporal order problem of Hochreiter & Schmidhuber 1997.

    Each step shows one of six symbols. Two of them, each A or B, stand at a random step
    of the second and of the fifth tenth of the sequence; all others are distractors.
    The class says which two it was, in which order: AA, AB, BA or BB. In the form of
    Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063.

    Args:
        length: number of steps, at least 10. Default 100.
        train, validation, test: numbers of sequences. Default 10,000, 1,000 and 1,000.
        seed: seed of the data. Default 0.

    Returns:
        The task; `x` is `(n, length, 6)`, one-hot, and `y` is `(n,)`, in 0 ... 3.

    Raises:
        ValueError: if `length` is not an integer of at least 10, or a size is not a
            positive integer.

    Example:

    >>> task = keras_rnnx.datasets.load_task("temporal_order", length=50, train=8)
    >>> task.train.x.shape, task.classes
    ((8, 50, 6), 4)
    """
    parts, options = parts_and_options(
        drawn.temporal_order, 10, length, train, validation, test, seed
    )
    return Task(
        name="temporal_order",
        description=f"Which of two symbols came first, over {length} steps.",
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        classes=4,
        loss="sparse_categorical_crossentropy",
        metrics=("accuracy",),
        objective=Objective("val_accuracy", "max"),
        options=options,
    )
