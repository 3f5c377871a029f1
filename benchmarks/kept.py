"""Numbers that are kept in a JSON file, an entry a line."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any

DIGITS = 5
# What is timed: of a layer alone, and of a model in the calls that a user makes; of a
# data set an epoch.
PASSES = ("forward", "training", "predict", "fit", "epoch")


def write(path: pathlib.Path, head: dict, name: str, entries: list[dict]) -> None:
    """Keeps entries, with what holds for all of them.

    Args:
        path: of the file.
        head: what holds for all.
        name: of the entries.
        entries: numbers in them are rounded; what is not finite becomes null.
    """
    lines = [f" {json.dumps(k)}: {json.dumps(v)}," for k, v in head.items()]
    kept = ",\n".join(f"  {json.dumps(_rounded(entry))}" for entry in entries)
    text = "\n".join(["{", *lines, f" {json.dumps(name)}: [", kept, " ]", "}"]) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Cut off while it is written, what was kept before would be lost.
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(path)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value
