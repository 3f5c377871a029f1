"""Tasks of data sets of tensorflow-datasets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from keras_rnnx._errors import unknown
from keras_rnnx.datasets._making import arrays, texts
from keras_rnnx.datasets._making.prepared import prepare, read
from keras_rnnx.datasets._making.vocabulary import LEVELS
from keras_rnnx.datasets.kinds import kind_of

PARTS = ("train", "validation", "test")
# Options and their defaults, as `Task.from_arrays` has them.
DEFAULTS = {
    "validation": 0.1,
    "test": 0.1,
    "split": None,
    "groups": None,
    "seed": 0,
    "level": "word",
    "tokenize": None,
    "vocabulary_size": None,
    "least": 1,
    "target_level": None,
    "classes": None,
}
# Those of a language model, as `Task.from_text` has them.
TEXT = {
    "level": "character",
    "validation": 0.05,
    "test": 0.05,
    "vocabulary_size": None,
}


def fields(
    name: str,
    x: str | None,
    y: str | None,
    kind: str | None,
    groups: str | None,
    splits: Mapping[str, str] | None,
    data_dir: str | os.PathLike | None,
    manual_dir: str | os.PathLike | None,
    config: Mapping[str, Any] | None,
    options: dict[str, Any],
) -> dict[str, Any]:
    """The attributes of a task that a data set determines; see `Task.from_tfds`."""
    if kind is not None:
        kind_of(kind)
    valid = TEXT if kind == "language_model" else DEFAULTS
    for option in options:
        if option not in valid:
            raise unknown("option of `Task.from_tfds`", option, valid)
    builder = prepare(
        name, data_dir=data_dir, manual_dir=manual_dir, **dict(config or {})
    )
    whole = read_parts(builder, splits)
    x, y = _keys(builder, x, y, kind)
    if kind == "language_model":
        return _language_model(whole, x, options)
    parts = {
        part: (values[x], None if y is None else values[y])
        for part, values in whole.items()
    }
    names = getattr(builder.info.features[y], "names", None) if y else None
    if names:
        options = {"classes": list(names), **options}
    if groups is not None:
        if "validation" in parts and "test" in parts:
            raise ValueError(
                f"{name} has its own parts for validation and test: nothing is drawn "
                f"by `groups`. Leave it out, or name other `splits`."
            )
        options["groups"] = whole["train"][_key(builder, "groups", groups)]
    held_out = {part: parts[part] for part in PARTS[1:] if part in parts}
    train_x, train_y = parts["train"]
    return arrays.fields(
        train_x, train_y, **{**DEFAULTS, **options, **held_out, "kind": kind}
    )


def read_parts(builder: Any, splits: Mapping[str, str] | None) -> dict[str, Any]:
    """The parts of a prepared data set, by name.

    Args:
        builder: the builder of the data set.
        splits: as for `Task.from_tfds`.

    Raises:
        ValueError: for an unknown part, and where no part is for training.
    """
    there = builder.info.splits
    if splits is None:
        splits = {part: part for part in PARTS if part in there}
    for part in splits:
        if part not in PARTS:
            raise unknown("part of a task", part, PARTS)
    if "train" not in splits:
        raise ValueError(
            f"{builder.info.full_name} has the parts {', '.join(there)}, and none is "
            f"named for training: pass `splits`, as {{'train': {min(there)!r}}}."
        )
    return {part: read(builder, split) for part, split in splits.items()}


def _keys(
    builder: Any, x: str | None, y: str | None, kind: str | None
) -> tuple[str, str | None]:
    """The names of the features to read and to learn."""
    keys = builder.info.supervised_keys or (None, None)
    own = kind in ("next_step", "language_model")
    if own and x is None and keys[0] is None and len(builder.info.features) == 1:
        (x,) = builder.info.features
    if x is None and (keys[0] is None or len(keys) != 2):
        raise ValueError(
            f"{builder.info.full_name} doesn't say what is to be learned: pass `x` and "
            f"`y`, names of its features {', '.join(builder.info.features)}."
        )
    if y is None and not own:
        y = keys[1]
    return _key(builder, "x", x or keys[0]), None if y is None else _key(
        builder, "y", y
    )


def _key(builder: Any, argument: str, name: Any) -> str:
    if name not in builder.info.features:
        raise unknown(
            f"feature of {builder.info.full_name} for `{argument}`",
            name,
            builder.info.features,
        )
    return name


def _language_model(
    whole: dict[str, Any], x: str, options: dict[str, Any]
) -> dict[str, Any]:
    options = {**TEXT, **options}
    level = options["level"]
    if level not in LEVELS:
        raise unknown("level", level, LEVELS)

    def joined(rows: Any) -> list[str]:
        tokens = []
        for row in rows:
            tokens += row.split() if level == "word" else row
        return tokens

    parts = {part: joined(values[x]) for part, values in whole.items()}
    return texts.fields(parts.pop("train"), **{**options, **parts})
