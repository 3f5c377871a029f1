"""Tasks of a user's own sequences: what is given is split, checked and encoded."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_rnnx.datasets import targets
from keras_rnnx.datasets.kinds import kind_of
from keras_rnnx.datasets.padded import sequences
from keras_rnnx.datasets.splitting import Split, sizes, split_rows, take
from keras_rnnx.datasets.vocabulary import Vocabulary


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
    vocabulary_size: int | None,
    classes: Any,
) -> dict[str, Any]:
    """The attributes of a task that its data determine; see `Task.from_arrays`."""
    parts = _parts(x, y, validation, test)
    kind = kind_of(kind or targets.infer_kind(*parts["train"])).name
    if kind == "language_model":
        raise ValueError("A language model learns one long text: see `Task.from_text`.")
    if kind == "forecasting":
        raise ValueError("A forecast is of one long series: see `Task.from_series`.")
    if kind == "next_frame" and y is None:
        parts = {name: _shifted(name, part) for name, part in parts.items()}
    if parts["train"][1] is None:
        raise ValueError(f"`y` is missing, which a task of kind {kind!r} learns.")
    for name, (part_x, part_y) in parts.items():
        if len(part_x) != len(part_y):
            raise ValueError(
                f"There are {len(part_x)} sequences in `x` and {len(part_y)} targets "
                f"in `y`, of the part {name!r}."
            )
    shares = {
        name: share
        for name, share in (("validation", validation), ("test", test))
        if not isinstance(share, (tuple, list))
    }
    if shares:
        parts.update(_taken(parts["train"], shares, kind, split, groups, seed))
    names = ("train", "validation", "test")
    xs, vocabulary = _encoded(
        [parts[name][0] for name in names], level, vocabulary_size
    )
    ys, found = targets.encoded(
        kind, xs, [parts[name][1] for name in names], classes, level
    )
    splits = {name: Split(*part) for name, part in zip(names, zip(xs, ys))}
    return {"kind": kind, "vocabulary": vocabulary, **splits, **found}


def _parts(x, y, validation, test):
    """What is given of each part, as arrays or lists."""
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


def _listed(name, values):
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


def _shifted(name, part):
    """Each step is to tell the one behind it."""
    x, _ = part
    for n, row in enumerate(x):
        if len(row) < 2:
            raise ValueError(
                f"Row {n} of `x`, of the part {name!r}, has {len(row)} step(s): there "
                f"is no next one to learn. Leave it out."
            )
    return [row[:-1] for row in x], [row[1:] for row in x]


def _taken(train, shares, kind, split, groups, seed):
    """Parts that are taken from the one for training."""
    x, y = train
    counts = sizes(len(x), shares)
    if split is None:
        split = "random" if groups is None else "groups"
        if groups is None and kind == "classification":
            split = "stratified"
    if (split == "groups") != (groups is not None):
        raise ValueError(
            "split='groups' needs `groups`, with the group of each row, and goes with "
            f"no other split; received split={split!r}, groups={groups!r}."
        )
    if groups is not None and len(groups) != len(x):
        raise ValueError(f"`groups` has {len(groups)} entries, and `x` has {len(x)}.")
    labels = np.asarray(y) if split == "stratified" else None
    if labels is not None:
        _check_stratified(labels, kind, len(counts))
    rows = split_rows(len(x), counts, seed, split, labels, groups)
    return {
        name: (take(x, part), take(y, part))
        for name, part in zip(("train", *shares), rows)
    }


def _check_stratified(labels, kind, parts):
    if labels.ndim != 1 or kind != "classification":
        raise ValueError(
            f"split='stratified' is for classification, and this is a task of kind "
            f"{kind!r}. Pass split='random'."
        )
    names, counts = np.unique(labels, return_counts=True)
    if counts.min() < parts:
        raise ValueError(
            f"Class {names[counts.argmin()].item()!r} has {counts.min()} sequence(s), "
            f"too few for {parts} parts. Leave it out, or pass split='random'."
        )


def _encoded(parts, level, size):
    """Sequences of numbers, and the vocabulary if they were texts or tokens."""
    texts = [_is_text(row) for part in parts for row in part]
    if not any(texts):
        if size is not None:
            raise ValueError(
                "`vocabulary_size` is for texts, and `x` holds numbers already."
            )
        return [sequences(part) for part in parts], None
    if not all(texts):
        raise ValueError(
            f"`x` holds texts and numbers: row {texts.index(False)} is no text."
        )
    # Of the training part alone: tokens that only others have are not known.
    vocabulary = Vocabulary.of(parts[0], size=size, level=level)
    parts = [[vocabulary.encode(row) for row in part] for part in parts]
    return [sequences(part) for part in parts], vocabulary


def _is_text(row):
    if isinstance(row, str):
        return True
    return (
        isinstance(row, (list, tuple))
        and all(isinstance(t, str) for t in row)
        and bool(row)
    )
