"""The .ts files of the UEA and UCR archives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Series(NamedTuple):
    """Labelled series of a file.

    Attributes:
        sequences: of each row, float32 `(steps, channels)`.
        labels: of each row, its class by name.
        classes: the names of the classes, in the order of the header.
    """

    sequences: list[np.ndarray]
    labels: list[str]
    classes: list[str]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.sequences[0].shape[1]


def parse(text: str, damaged: Callable[[str], Exception] = ValueError) -> Series:
    """The series of a .ts file.

    Rows may be of different lengths. Missing values, time stamps and channels of
    different lengths in one row are refused, since one would have to guess them.

    Args:
        text: the text of the file.
        damaged: makes the error from a message.

    Returns:
        The series.

    Raises:
        ValueError: if it is no .ts file with classes, or is refused; the message names
            row and column.

    Example:

    >>> parse("@classLabel true a b\\n@data\\n1,2,3:4,5,6:b\\n7:8:a").sequences[0]
    array([[1., 4.],
           [2., 5.],
           [3., 6.]], dtype=float32)
    """
    lines = [line.strip() for line in text.split("\n")]
    data = next((i for i, s in enumerate(lines) if s.lower() == "@data"), None)
    if data is None:
        raise damaged("it has no line @data")
    classes = _classes(lines[:data], damaged)
    sequences, labels, channels = [], [], None
    rows = (line for line in lines[data + 1 :] if line and not line.startswith("#"))
    for row, line in enumerate(rows, 1):
        *columns, label = (part.strip() for part in line.split(":"))
        if label not in classes:
            raise damaged(
                f"row {row} has the class {label!r}, which is not one of the header's: "
                + ", ".join(classes)
            )
        values = [_channel(row, i, s, damaged) for i, s in enumerate(columns, 1)]
        channels = channels or len(values)
        if len(values) != channels or not values:
            raise damaged(f"row {row} has {len(values)} channels, the first {channels}")
        lengths = [len(channel) for channel in values]
        if len(set(lengths)) > 1:
            raise damaged(f"row {row} has channels of different lengths: {lengths}")
        sequences.append(np.stack(values, axis=-1))
        labels.append(label)
    if not sequences:
        raise damaged("it has no rows")
    return Series(sequences, labels, classes)


def _classes(header: list[str], damaged: Callable[..., Exception]) -> list[str]:
    """The names of the classes from a header."""
    for line in header:
        key, *words = line.split()[:2] and line.split()
        if key.lower() == "@timestamps" and words[:1] and words[0].lower() == "true":
            raise damaged("it has time stamps, which are not read")
        if key.lower() == "@classlabel" and words and words[0].lower() == "true":
            return words[1:]
    raise damaged("its header names no classes (@classLabel true ...)")


def _channel(
    row: int, column: int, text: str, damaged: Callable[..., Exception]
) -> np.ndarray:
    """The values of a channel, float32 `(steps,)`."""
    if text.startswith("("):
        raise damaged(
            f"row {row}, channel {column} has time stamps, which are not read"
        )
    values: np.ndarray = np.empty(text.count(",") + 1, dtype="float32")
    for step, value in enumerate(text.split(",")):
        try:
            values[step] = float(value)
        except ValueError:
            values[step] = np.nan
        if not np.isfinite(values[step]):
            raise damaged(
                f"row {row}, channel {column}, step {step + 1} is {value.strip()!r}, "
                "which is no number: missing values are not filled in"
            )
    return values
