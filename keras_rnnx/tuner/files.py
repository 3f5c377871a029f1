"""Writes files that are complete or absent, whenever the process is stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import keras


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file in one step: a reader sees the old one or the new one."""
    new = path.with_name(f"{path.name}.new")
    with open(new, "wb") as file:
        file.write(data)
        file.flush()
        # A power cut after the rename must not leave an empty file with this name.
        os.fsync(file.fileno())
    os.replace(new, path)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON in one step."""
    write_bytes(path, json.dumps(value, indent=1).encode())


def write_model(path: Path, model: keras.Model) -> None:
    """Saves a model in one step, to a path that ends in `.keras`."""
    new = path.with_name(f"{path.stem}.new.keras")
    model.save(new)
    os.replace(new, path)
