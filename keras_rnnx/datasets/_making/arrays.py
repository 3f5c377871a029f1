"""Tasks of a user's own sequences: they are checked, split and encoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_rnnx.datasets._batches.padded import sequences
from keras_rnnx.datasets._making import targets
from keras_rnnx.datasets._making.splitting import Split, sizes, split_rows, take
from keras_rnnx.datasets._making.vocabulary import PADDING, UNKNOWN, Vocabulary, is_text
from keras_rnnx.datasets.kinds import kind_of

INPUTS = (PADDING, UNKNOWN)


def fields(
    x: Any,
    y: Any,
    kind: str | None,
    validation: Any,
    test: Any,
    split: str | None,
    groups: Any,
    seed: int,
    level: str,
    tokenize: Callable[[str], Sequence[str]] | None,
    vocabulary_size: int | None,
    least: int,
    target_level: str | None,
    classes: Any,
) -> dict[str, Any]:
    """The attributes of a task that its data determine; see `Task.from_arrays`."""
    parts = _parts(x, y, validation, test)
    kind = kind_of(kind or targets.infer_kind(*parts["train"])).name
    if kind == "language_model":
        raise ValueError("A language model learns one long text: see `Task.from_text`.")
    if kind == "forecasting":
        raise ValueError("A forecast is of one long series: see `Task.from_series`.")
    if kind == "next_step" and y is None:
        parts = {name: _shifted(name, part) for name, part in parts.items()}
    if parts["train"][1] is None:
        raise ValueError(f"`y` is missing, which a task of kind {kind!r} learns.")
    for name, (part_x, part_y) in parts.items():
        if len(part_x) != len(part_y):
            raise ValueError(
                f"There are {len(part_x)} sequences in `x` and {len(part_y)} targets "
                f"in `y`, of the part {name!r}."
            )
    # Before the rows are split, so that errors name the row as the user knows it.
    passed = list(parts)
    xs = [_checked(parts[name][0], tokenize) for name in passed]
    ys = [parts[name][1] for name in passed]
    ys, attributes = targets.encoded(kind, xs, ys, classes)
    parts = dict(zip(passed, zip(xs, ys)))
    shares = {
        name: share
        for name, share in (("validation", validation), ("test", test))
        if name not in parts
    }
    names = attributes.pop("names", None)
    if shares:
        split = _split(split, kind, groups, len(parts["train"][0]))
        parts.update(_taken(parts["train"], shares, split, groups, seed, names))
    if names is not None:
        targets.check_learned(parts["train"][1], names)
    attributes["vocabulary"] = _number(parts, 0, vocabulary_size, least, level, INPUTS)
    if kind == "sequence_to_sequence":
        level = target_level or level
        vocabulary = _number(parts, 1, None, 1, level, targets.TRANSDUCED)
        if vocabulary is not None:
            attributes["target_vocabulary"] = vocabulary
    splits = {name: Split(*part) for name, part in parts.items()}
    return {"kind": kind, **attributes, **splits}


def _parts(x: Any, y: Any, validation: Any, test: Any) -> dict[str, tuple[Any, Any]]:
    """The parts that the user passes, as arrays or lists."""
    parts = {"train": (_listed("x", x), None if y is None else _listed("y", y))}
    for name, part in (("validation", validation), ("test", test)):
        if not isinstance(part, (tuple, list)):
            continue
        if len(part) != 2:
            raise ValueError(
                f"`{name}` must be a fraction, a number of rows, or a pair (x, y), "
                f"received a {type(part).__name__} of {len(part)}."
            )
        part_x, part_y = part
        part_y = None if part_y is None else _listed(f"y of {name}", part_y)
        parts[name] = (_listed(f"x of {name}", part_x), part_y)
    return parts


def _listed(name: str, values: Any) -> Any:
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise ValueError(
            f"`{name}` must be an array or a list with an entry for each sequence, "
            f"received {type(values).__name__}."
        )
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    if not len(values):
        raise ValueError(f"`{name}` is empty.")
    if isinstance(values, np.ndarray) and values.dtype.kind != "O":
        return values
    return list(values)


def _shifted(name: str, part: tuple[Any, Any]) -> tuple[list[Any], list[Any]]:
    """A part where the target of each step is the next step."""
    x, _ = part
    for n, row in enumerate(x):
        if len(row) < 2:
            raise ValueError(
                f"Row {n} of `x`, of the part {name!r}, has {len(row)} step(s): there "
                f"is no next one to learn. Leave it out."
            )
    return [row[:-1] for row in x], [row[1:] for row in x]


def _split(split: str | None, kind: str, groups: Any, n: int) -> str:
    """How to split the rows."""
    if split is None:
        split = "random" if groups is None else "groups"
        if groups is None and kind == "classification":
            split = "stratified"
    if split == "stratified" and kind != "classification":
        raise ValueError(
            f"split='stratified' is for classification, and this is a task of kind "
            f"{kind!r}. Pass split='random'."
        )
    if (split == "groups") != (groups is not None):
        raise ValueError(
            "split='groups' needs `groups`, with the group of each row, and goes with "
            f"no other split; received split={split!r}, groups={groups!r}."
        )
    if groups is not None and len(groups) != n:
        raise ValueError(f"`groups` has {len(groups)} entries, and `x` has {n}.")
    return split


def _taken(
    train: tuple[Any, Any],
    shares: dict[str, Any],
    split: str,
    groups: Any,
    seed: int,
    names: Any,
) -> dict[str, tuple[Any, Any]]:
    """The part for training, and those that are taken from it."""
    x, y = train
    counts = sizes(len(x), shares)
    if split == "stratified":
        _check_stratified(y, names, dict(zip(shares, counts[1:])))
    rows = split_rows(len(x), counts, seed, split, y, groups)
    return {
        name: (take(x, part), take(y, part))
        for name, part in zip(("train", *shares), rows)
    }


def _check_stratified(
    labels: np.ndarray, names: Sequence[Any], counts: dict[str, int]
) -> None:
    held, parts = np.bincount(labels, minlength=len(names)), 1 + len(counts)
    if 0 < held.min() < parts:
        raise ValueError(
            f"Class {names[held.argmin()]!r} has {held.min()} sequence(s), too few for "
            f"{parts} parts. Leave it out, or pass split='random'."
        )
    for name, count in counts.items():
        if count < len(names):
            raise ValueError(
                f"`{name}` has {count} sequence(s) for {len(names)} classes. Give it "
                f"one of each, or pass split='random'."
            )


def _checked(x: Any, tokenize: Callable[[str], Sequence[str]] | None) -> Any:
    """Checks sequences of numbers or texts; `tokenize` cuts texts into tokens."""
    if tokenize is not None:
        x = [tokenize(row) if isinstance(row, str) else row for row in x]
    texts = [is_text(row) for row in x]
    if not any(texts):
        return sequences(x)
    if not all(texts):
        raise ValueError(
            f"`x` holds texts and numbers: row {texts.index(False)} is no text."
        )
    for n, row in enumerate(x):
        if not len(row.split() if isinstance(row, str) else row):
            raise ValueError(f"Row {n} of `x` has no steps. Leave it out.")
    return x


def _number(
    parts: dict[str, tuple[Any, Any]],
    place: int,
    size: int | None,
    least: int,
    level: str,
    specials: Sequence[str],
) -> Vocabulary | None:
    """Replaces texts by the numbers of tokens. Returns their vocabulary, or None."""
    learned = parts["train"][place]
    if not any(is_text(row) for row in learned):
        for name, value in (("vocabulary_size", size), ("least", least != 1 or None)):
            if value is not None:
                raise ValueError(
                    f"`{name}` is for texts, and `x` holds numbers already."
                )
        return None
    # Of the training part alone: tokens that only other parts have are unknown.
    vocabulary = Vocabulary.of(
        learned, size=size, least=least, level=level, specials=specials
    )
    for name, part in parts.items():
        rows = [vocabulary.encode(row) for row in part[place]]
        parts[name] = (rows, part[1]) if place == 0 else (part[0], rows)
    return vocabulary
