"""Tasks from files of one's own: arrays of NumPy, and tables as text."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from keras_rnnx.datasets._making.constructors import Constructors

# The class of the task that is made.
Made = TypeVar("Made", bound="Constructors")

KINDS = (".npz", ".csv")


def read(make: type[Made], path: str | os.PathLike, **options: Any) -> Made:
    """A task from a file; see `Task.from_file`."""
    path = Path(path)
    if path.suffix not in KINDS:
        raise ValueError(f"`path` must end in .npz or .csv, received {str(path)!r}.")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    options = {"name": path.stem, **options}
    if path.suffix == ".npz":
        return _from_npz(make, path, options)
    return _from_csv(make, path, options)


def _from_npz(make: type[Made], path: Path, options: dict[str, Any]) -> Made:
    with np.load(path, allow_pickle=False) as held:
        arrays = {name: held[name] for name in held.files}
    if "x" not in arrays:
        raise ValueError(
            f"{path} must hold the array 'x', and for most kinds 'y'; it holds "
            f"{', '.join(map(repr, arrays)) or 'nothing'}."
        )
    for part in ("validation", "test"):
        names = (f"x_{part}", f"y_{part}")
        if names[0] in arrays:
            options.setdefault(part, tuple(arrays.get(name) for name in names))
    if "groups" in arrays:
        options.setdefault("groups", arrays["groups"])
    return make.from_arrays(arrays["x"], arrays.get("y"), **options)


def _from_csv(make: type[Made], path: Path, options: dict[str, Any]) -> Made:
    names, rows = _table(path)
    target = options.pop("target", None)
    sequence = options.pop("sequence", None)
    columns = options.pop("columns", None)
    for name in filter(None, (target, sequence, *(columns or ()))):
        if name not in names:
            raise ValueError(
                f"{path} has no column {name!r}; it has {', '.join(map(repr, names))}."
            )
    no_features = {target, sequence} if sequence is not None else set()
    numbers, left_out = _numbers(path, names, rows, columns, no_features)
    if left_out:
        note = f"Columns without numbers are left out: {', '.join(left_out)}."
        options.setdefault("description", note)
    if sequence is None:
        for name in ("window", "horizon"):
            if name not in options:
                raise ValueError(
                    f"{path} is read as a series, and a forecast needs `window` and "
                    f"`horizon`, in steps. For sequences with a label each pass "
                    f"`sequence` and `target`, names of columns (in a command: "
                    f"--option sequence=NAME --option target=NAME)."
                )
        targets = None if target is None else [list(numbers).index(target)]
        values = np.stack(list(numbers.values()), axis=1)
        return make.from_series(values, targets=targets, **options)
    if target is None:
        raise ValueError("`sequence` needs `target`, the column of labels.")
    x, y = _sequences(names, rows, numbers, sequence, target)
    return make.from_arrays(x, y, **options)


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 2:
        raise ValueError(f"{path} must have a line of names, and lines of values.")
    names, *rows = rows
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise ValueError(
                f"{path}, line {number}: {len(row)} values for {len(names)} columns."
            )
    return names, rows


def _numbers(
    path: Path,
    names: list[str],
    rows: list[list[str]],
    columns: Sequence[str] | None,
    no_features: set[str | None],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The columns of numbers, and the names of the others."""
    numbers, left_out = {}, []
    for place, name in enumerate(names):
        if name in no_features or (columns is not None and name not in columns):
            continue
        try:
            numbers[name] = np.array([float(row[place] or "nan") for row in rows])
        except ValueError:
            if columns is not None:
                raise ValueError(
                    f"{path}: the column {name!r} holds what is no number: leave it "
                    f"out of `columns`."
                ) from None
            left_out.append(name)
    if not numbers:
        raise ValueError(f"{path} has no column of numbers.")
    return numbers, left_out


def _sequences(
    names: list[str],
    rows: list[list[str]],
    numbers: dict[str, np.ndarray],
    sequence: str,
    target: str,
) -> tuple[list[np.ndarray], Any]:
    """Sequences in the order of their first rows, and their targets."""
    key, label = names.index(sequence), names.index(target)
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(row[key], []).append(place)
    values = np.stack(list(numbers.values()), axis=1)
    labels = [[rows[i][label] for i in places] for places in groups.values()]
    x = [values[places] for places in groups.values()]
    if all(len(set(one)) == 1 for one in labels):
        return x, _targets([one[0] for one in labels])
    # A label for each step.
    flat = _targets([value for one in labels for value in one])
    ends = np.cumsum([len(one) for one in labels])[:-1]
    return x, np.split(np.asarray(flat), ends)


def _targets(texts: list[str]) -> Any:
    for kind in (int, float):
        try:
            return np.array([kind(text) for text in texts])
        except ValueError:
            continue
    return texts
