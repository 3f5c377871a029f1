"""Handwritten digits, read pixel by pixel."""

from __future__ import annotations

import numpy as np

from keras_rnnx.datasets._making.splitting import Split
from keras_rnnx.datasets.kinds import Objective
from keras_rnnx.datasets.registry import register_task
from keras_rnnx.datasets.task import Task


@register_task("digits")
def digits(seed: int = 0) -> Task:
    """The 1,797 handwritten digits of scikit-learn, read pixel by pixel.

    8 x 8 gray values (Alpaydin & Kaynak 1998) as sequences of 64 steps with one value
    in [0, 1], row by row: 1,280 for training, 256 for validation, 261 for test, with
    the classes in the same proportions in each.

    Args:
        seed: seed of the split. Default 0.

    Returns:
        The task.

    Raises:
        ImportError: if scikit-learn is not installed.

    Example:

    >>> keras_rnnx.datasets.load_task("digits").train.x.shape
    (1280, 64, 1)
    """
    found = parts(seed)
    return Task(
        name="digits",
        description="Ten handwritten digits, 8 x 8 pixels, read pixel by pixel.",
        train=found["train"],
        validation=found["validation"],
        test=found["test"],
        classes=10,
        loss="sparse_categorical_crossentropy",
        metrics=("accuracy",),
        objective=Objective("val_accuracy", "max"),
        options={"seed": seed},
    )


def parts(seed: int) -> dict[str, Split]:
    """The digits in their split, by the names of the parts.

    Args:
        seed: seed of the split.

    Raises:
        ImportError: if scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ModuleNotFoundError as error:
        raise ImportError(
            "The task 'digits' needs scikit-learn: pip install 'keras-rnnx[datasets]'."
        ) from error
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")[..., np.newaxis]
    y = y.astype("int32")
    # Multiples of usual batch sizes: a ragged last batch has to be compiled apart.
    train, rest = train_test_split(
        np.arange(len(y)), train_size=1280, stratify=y, random_state=seed
    )
    validation, test = train_test_split(
        rest, train_size=256, stratify=y[rest], random_state=seed
    )
    rows = {"train": train, "validation": validation, "test": test}
    return {part: Split(x[found], y[found]) for part, found in rows.items()}
