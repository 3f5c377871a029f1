"""The adding problem, a test of memory over long sequences."""

from __future__ import annotations

from keras_rnnx.datasets import drawn
from keras_rnnx.datasets.drawn._parts import parts_and_options
from keras_rnnx.datasets.kinds import Objective
from keras_rnnx.datasets.registry import register_task
from keras_rnnx.datasets.task import Task


@register_task("adding")
def adding(
    length: int = 200,
    train: int = 10_000,
    validation: int = 1_000,
    test: int = 1_000,
    seed: int = 0,
) -> Task:
    """The adding problem of Hochreiter & Schmidhuber 1997.

    Each step has a value, uniform in [0, 1], and a marker, which is one at one step of
    each half of the sequence and zero elsewhere. The target is the sum of the two
    marked values. Answering 1 always gives a mean squared error of 1/6 = 0.167.

    Args:
        length: number of steps, at least 2. Default 200.
        train, validation, test: numbers of sequences. Default 10,000, 1,000 and 1,000.
        seed: seed of the data. Default 0.

    Returns:
        The task; `x` is `(n, length, 2)`, values then markers, and `y` is `(n, 1)`.

    Raises:
        ValueError: if `length` is not an integer of at least 2, or a size is not a
            positive integer.

    Example:

    >>> keras_rnnx.datasets.load_task("adding", length=50, train=8).train.x.shape
    (8, 50, 2)
    """
    parts, options = parts_and_options(
        drawn.adding, 2, length, train, validation, test, seed
    )
    return Task(
        name="adding",
        description=f"Add the two marked values among {length}.",
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        classes=None,
        loss="mean_squared_error",
        metrics=("mean_absolute_error",),
        objective=Objective("val_loss", "min"),
        options=options,
    )
