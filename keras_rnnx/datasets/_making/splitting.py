"""Parts of a data set: for training, validation and test."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_rnnx._errors import unknown
from keras_rnnx._numbers import integer

SPLITS = ("stratified", "random", "groups", "time")


class Split(NamedTuple):
    """Part of a data set.

    Attributes:
        x: sequences: float32 `(n, time, features)`, or a list of arrays
            `(time, features)` of many lengths; int32 `(n, time)`, or a list of arrays
            `(time,)`, of tokens; for a language model one array `(time,)` of tokens.
        y: what is to be learned, by kind of task. Classification: integers `(n,)`;
            regression: float32 `(n, outputs)`; forecasting: float32
            `(n, horizon, outputs)`; tagging: arrays of integers `(time,)`; next frame:
            arrays `(time, labels)` of 0 and 1; sequence to sequence and CTC: arrays of
            integers of any length; language model: None.
    """

    x: Any
    y: Any = None


def take(values: Any, rows: np.ndarray) -> Any:
    """Rows of an array, or of a list of arrays."""
    if isinstance(values, np.ndarray):
        return values[rows]
    return [values[row] for row in rows]


def sizes(n: int, shares: dict[str, Any]) -> tuple[int, ...]:
    """Numbers of rows: for training, and of each part that is taken from them.

    Args:
        n: number of rows.
        shares: of each part by name, a fraction of the rows or a number of them.

    Raises:
        ValueError: for a share that is neither, or if no rows are left to train on.
    """
    counts = [_count(n, name, share) for name, share in shares.items()]
    if sum(counts) >= n:
        asked = " and ".join(f"{name}={share!r}" for name, share in shares.items())
        raise ValueError(f"{asked} leave none of {n} rows to train on.")
    return n - sum(counts), *counts


def _count(n: int, name: str, share: Any) -> int:
    if isinstance(share, (float, np.floating)):
        if not 0 < share < 1:
            raise ValueError(
                f"`{name}` must be a fraction of the rows, above 0 and below 1, or a "
                f"number of rows, received {share!r}."
            )
        return max(1, round(n * float(share)))
    return integer(name, share, 1)


def split_rows(
    n: int,
    counts: tuple[int, ...],
    seed: int,
    split: str = "random",
    labels: np.ndarray | None = None,
    groups: Any = None,
) -> list[np.ndarray]:
    """Rows of each part, in their order.

    Args:
        n: number of rows.
        counts: rows of the parts, the one for training first; with groups, about so
            many.
        seed: seed of the draw.
        split: "stratified" (each class has its share in each part), "random", "groups"
            (no group is in two parts) or "time" (the rows of a part stand together, in
            the order of parts).
        labels: the class of each row, for "stratified".
        groups: the group of each row, for "groups".

    Raises:
        ValueError: for an unknown split, and for too few rows of a class or too few
            groups.
        ImportError: if scikit-learn is missing, which draws "stratified" and "groups".
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if split == "time":
        return np.split(np.arange(n), np.cumsum(counts)[:-1])
    rest: np.ndarray = np.arange(n)
    parts: list[np.ndarray] = []
    for count in reversed(counts[1:]):
        rest, part = _cut(rest, count, seed, split, labels, groups)
        parts.insert(0, np.sort(part))
    return [np.sort(rest), *parts]


def _cut(
    rows: np.ndarray, count: int, seed: int, split: str, labels: Any, groups: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Draws `count` of the rows. Returns the others, and those that are drawn."""
    if split == "random":
        order = np.random.default_rng(seed).permutation(rows)
        return order[count:], order[:count]
    selection = _scikit_learn()
    if split == "stratified":
        return selection.train_test_split(
            rows, test_size=count, stratify=labels[rows], random_state=seed
        )
    groups = np.asarray(groups)[rows]
    draw = selection.GroupShuffleSplit(
        1, test_size=count / len(rows), random_state=seed
    )
    rest, part = next(draw.split(rows, groups=groups))
    return rows[rest], rows[part]


def _scikit_learn() -> Any:
    try:
        from sklearn import model_selection
    except ModuleNotFoundError as error:
        raise ImportError(
            "Splitting by class or by group needs scikit-learn: pip install "
            "'keras-rnnx[datasets]'. Or pass split='random'."
        ) from error
    return model_selection
