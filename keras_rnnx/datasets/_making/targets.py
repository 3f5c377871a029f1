"""Targets: which kind of task they are for, and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_rnnx.datasets._making.vocabulary import (
    BLANK,
    END,
    PADDING,
    START,
    UNKNOWN,
    Vocabulary,
    is_text,
)

TRANSDUCED = (PADDING, START, END, UNKNOWN)


def infer_kind(x: Any, y: Any) -> str:
    """The kind of task that targets are for.

    Raises:
        ValueError: for targets that fit no kind, or more than one.
    """
    if y is None:
        raise ValueError(
            "`y` is missing. For targets that are the next step of `x` pass "
            "kind='next_step'."
        )
    if _are_sequences(y):
        lengths = [(len(a), len(b)) for a, b in zip(x, y)]
        if all(a == b for a, b in lengths):
            return "next_step" if np.ndim(y[0]) == 2 else "tagging"
        features = not isinstance(x[0], str) and np.ndim(x[0]) == 2
        return "ctc" if features else "sequence_to_sequence"
    y = np.asarray(y)
    if y.ndim == 1:
        return "regression" if y.dtype.kind == "f" else "classification"
    if y.ndim == 2 and y.dtype.kind == "f":
        return "regression"
    raise ValueError(
        f"`y` of shape {y.shape} and dtype {y.dtype} fits no kind of task: give one "
        f"class or value for each sequence, `(n,)`, floats `(n, outputs)`, or a list "
        f"with a sequence of targets for each. Or say which kind it is: see "
        f"keras_rnnx.datasets.KINDS."
    )


def _are_sequences(y: Any) -> bool:
    if isinstance(y, np.ndarray):
        return y.ndim == 3 or (y.ndim == 2 and y.dtype.kind in "iub")
    return not isinstance(y[0], str) and np.ndim(y[0]) > 0


def encoded(
    kind: str, xs: Sequence[Any], ys: Sequence[Any], classes: Any
) -> tuple[list[Any], dict[str, Any]]:
    """The targets of all parts as numbers, and what they say about the task.

    Target texts stay texts: their vocabulary is made from the training part, which is
    split off later.

    Args:
        kind: kind of the task.
        xs: sequences of each part, the one for training first.
        ys: targets of each part.
        classes: names of the classes, their number, or None.

    Raises:
        ValueError: for targets that do not fit; the message names the row.
    """
    if kind in ("regression", "next_step", "sequence_to_sequence") and classes:
        raise ValueError(f"`classes` does not fit a task of kind {kind!r}.")
    if kind == "classification":
        return _classification(ys, classes)
    if kind == "regression":
        return [_values(y) for y in ys], {}
    if kind == "tagging":
        _check_lengths(xs, ys)
        return _tagging(ys, classes)
    if kind == "next_step":
        _check_lengths(xs, ys)
        return [_frames(y) for y in ys], {}
    if kind == "ctc":
        return _ctc(ys, classes)
    return _transduction(ys)


def _check_lengths(xs: Sequence[Any], ys: Sequence[Any]) -> None:
    for x, y in zip(xs, ys):
        for n, (row, target) in enumerate(zip(x, y)):
            if np.ndim(target) == 0 or len(row) != len(target):
                length = len(target) if np.ndim(target) else "no"
                raise ValueError(
                    f"Row {n} has {len(row)} steps in `x` and {length} targets in `y`."
                )


def _classification(
    ys: Sequence[Any], classes: Any
) -> tuple[list[Any], dict[str, Any]]:
    flat = [np.asarray(y) for y in ys]
    for y in flat:
        if y.ndim != 1 or y.dtype.kind not in "iubUSO":
            raise ValueError(
                f"Classes are integers or names `(n,)`, received `y` of shape "
                f"{y.shape} and dtype {y.dtype}."
            )
    numbers, names = _numbered([y.tolist() for y in flat], classes)
    return [np.array(y, "int32") for y in numbers], _classes(names)


def _tagging(ys: Sequence[Any], classes: Any) -> tuple[list[Any], dict[str, Any]]:
    rows = [[np.asarray(row).tolist() for row in y] for y in ys]
    flat = [[tag for row in y for tag in row] for y in rows]
    numbers, names = _numbered(flat, classes)
    ys = [
        _cut(np.array(part, "int32"), [len(row) for row in y])
        for part, y in zip(numbers, rows)
    ]
    return ys, _classes(names)


def _classes(names: list[Any]) -> dict[str, Any]:
    vocabulary = Vocabulary(names) if isinstance(names[0], str) else None
    return {
        "classes": len(names),
        "target_vocabulary": vocabulary,
        "names": names,
    }


def _cut(flat: np.ndarray, lengths: list[int]) -> list[np.ndarray]:
    return np.split(flat, np.cumsum(lengths)[:-1])


def _numbered(
    parts: list[list[Any]], classes: Any
) -> tuple[list[list[Any]], list[Any]]:
    """Numbers of classes in each part, and the classes: names, or a range."""
    named = isinstance(parts[0][0], str)
    if named:
        names = (
            sorted({c for part in parts for c in part}) if classes is None else classes
        )
        if isinstance(names, int):
            raise ValueError(
                f"`y` holds names of classes: pass `classes` as a list of names, or "
                f"not at all; received {classes!r}."
            )
        names = list(map(str, names))
    else:
        names = list(range(_number_of_classes(parts, classes)))
        if isinstance(classes, (list, tuple)):
            names = list(map(str, classes))
    numbers = {name: n for n, name in enumerate(names)} if named else range(len(names))
    for part in parts:
        for n, label in enumerate(part):
            if label not in numbers:
                shown = names if named else f"0 to {len(names) - 1}"
                raise ValueError(
                    f"Target {n} is {label!r}, which is none of the classes: {shown}."
                )
    if named:
        parts = [[numbers[label] for label in part] for part in parts]
    return parts, names


def _number_of_classes(parts: list[list[Any]], classes: Any) -> int:
    if classes is None:
        return max(2, 1 + max(int(label) for part in parts for label in part))
    return classes if isinstance(classes, int) else len(classes)


def check_learned(y: Any, names: Sequence[Any]) -> None:
    """Raises a ValueError for a class without an example in the training part."""
    held = np.concatenate([np.ravel(row) for row in y]) if isinstance(y, list) else y
    missing = set(range(len(names))) - set(held.tolist())
    if missing:
        raise ValueError(
            f"The training part has no example of class {names[min(missing)]!r}. "
            "Classes are numbered from 0 without a gap; give the part an example, or "
            "leave the class out."
        )


def _values(y: Any) -> np.ndarray:
    y = np.asarray(y)
    if y.dtype.kind not in "iufb" or y.ndim not in (1, 2):
        raise ValueError(
            f"Values to predict are numbers `(n,)` or `(n, outputs)`, received `y` of "
            f"shape {y.shape} and dtype {y.dtype}."
        )
    y = y.astype("float32").reshape(len(y), -1)
    if not np.all(np.isfinite(y)):
        row, column = np.argwhere(~np.isfinite(y))[0]
        raise ValueError(f"Row {row} of `y` holds {y[row, column]} in column {column}.")
    return y


def _frames(y: Any) -> list[np.ndarray]:
    rows = [np.asarray(row) for row in y]
    for n, row in enumerate(rows):
        if (
            row.ndim != 2
            or row.shape[1] != rows[0].shape[1]
            or np.any((row != 0) & (row != 1))
        ):
            raise ValueError(
                f"The labels of a frame are 0 or 1, `(time, labels)`; row {n} of `y` "
                f"has shape {row.shape} and values from {row.min()} to {row.max()}."
            )
    return [row.astype("float32") for row in rows]


def _ctc(ys: Sequence[Any], classes: Any) -> tuple[list[Any], dict[str, Any]]:
    rows = [[np.asarray(row).tolist() for row in y] for y in ys]
    flat = [[label for row in y for label in row] for y in rows]
    if not flat[0]:
        raise ValueError("No sequence for training has a label.")
    if isinstance(flat[0][0], str):
        labels = sorted({label for part in flat for label in part})
        vocabulary = Vocabulary([BLANK, *(labels if classes is None else classes)])
        numbers = [[vocabulary.number(label) for label in part] for part in flat]
        count = len(vocabulary) - 1
    else:
        numbers, vocabulary = flat, None
        count = max(map(max, filter(None, flat))) if classes is None else classes
        if isinstance(classes, (list, tuple)):
            vocabulary, count = Vocabulary([BLANK, *classes]), len(classes)
    for y, part in zip(rows, numbers):
        owners = [n for n, row in enumerate(y) for _ in row]
        for n, label in zip(owners, part):
            if not 1 <= label <= count:
                raise ValueError(
                    f"Row {n} of `y` holds label {label}. Labels are 1 to {count}: 0 "
                    f"is the blank."
                )
    ys = [
        _cut(np.array(part, "int32"), [len(row) for row in y])
        for part, y in zip(numbers, rows)
    ]
    return ys, {"classes": count, "target_vocabulary": vocabulary}


def _transduction(ys: Any) -> tuple[list[Any], dict[str, Any]]:
    texts = [is_text(row) for y in ys for row in y]
    if any(texts):
        # A target may be empty.
        for n, row in enumerate(row for y in ys for row in y):
            if not is_text(row) and len(row):
                raise ValueError(f"Row {n} of `y` is no text, and others are.")
        return ys, {}
    ys = [[np.asarray(row) for row in y] for y in ys]
    for y in ys:
        for n, row in enumerate(y):
            whole = row.ndim == 1 and (not row.size or row.dtype.kind in "iu")
            if not whole or np.any(row < 3):
                raise ValueError(
                    f"Row {n} of `y` must hold tokens from 3 on, integers `(time,)`: 0 "
                    f"is padding, 1 the start and 2 the end; it has shape {row.shape} "
                    f"and dtype {row.dtype}."
                )
    largest = max((int(row.max()) for y in ys for row in y if row.size), default=2)
    tokens = (PADDING, START, END, *map(str, range(3, largest + 1)))
    return ys, {"target_vocabulary": Vocabulary(tokens)}
