"""Tasks of spoken digits: which one a recording says, or which ones, in their order."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np

from keras_rnnx._numbers import integer
from keras_rnnx.datasets._making.prepared import prepare, read
from keras_rnnx.datasets._making.splitting import Split
from keras_rnnx.datasets._making.vocabulary import BLANK, Vocabulary
from keras_rnnx.datasets.drawn._parts import PARTS, generator
from keras_rnnx.datasets.registry import register_task
from keras_rnnx.datasets.task import Task

Folder = str | os.PathLike | None
# Of each speaker and digit, the recordings from this number on are for validation.
VALIDATION = 45


@register_task("spoken_digits")
def spoken_digits(
    seed: int = 0, data_dir: Folder = None, manual_dir: Folder = None
) -> Task:
    """Which digit a recording says: the Free Spoken Digit Dataset.

    Frames of 24 log-mel energies, each scaled to mean 0 and deviation 1 over the
    training part. The test part is the official one, with the same six speakers.

    Args:
        seed: seed of the validation part, a tenth. Default 0.
        data_dir: folder of prepared data sets. Default: that of TFDS.
        manual_dir: folder with the recordings.

    Returns:
        The task; `x` is a list of arrays `(time, 24)`.

    Raises:
        ImportError, FileNotFoundError, OSError, ValueError: as
            `keras_rnnx.datasets.prepare`.
    """
    task = Task.from_tfds(
        "rnnx_spoken_digits",
        data_dir=data_dir,
        manual_dir=manual_dir,
        seed=seed,
        description="Which of ten digits somebody says.",
    )
    scaled = _scaled([part.x for part in task.parts])
    parts = {name: Split(x, part.y) for name, x, part in zip(PARTS, scaled, task.parts)}
    return dataclasses.replace(
        task,
        name="spoken_digits",
        options={"seed": seed},
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
    )


@register_task("spoken_digit_strings")
def spoken_digit_strings(
    shortest: int = 3,
    longest: int = 7,
    train: int = 3_000,
    validation: int = 300,
    test: int = 300,
    seed: int = 0,
    data_dir: Folder = None,
    manual_dir: Folder = None,
) -> Task:
    """Which digits a recording says, in their order: clips of a speaker joined.

    No clip is in two parts: those of the test part are the official ones, and for
    validation there are five of each speaker and digit. Frames are scaled as in
    "spoken_digits".

    Args:
        shortest, longest: number of digits, drawn from the one to the other. Default 3
            and 7.
        train, validation, test: numbers of strings. Default 3,000, 300 and 300.
        seed: seed of the strings. Default 0.
        data_dir: folder of prepared data sets. Default: that of TFDS.
        manual_dir: folder with the recordings.

    Returns:
        The task, of kind "ctc"; label 1 is the digit 0.

    Raises:
        ImportError, FileNotFoundError, OSError: as `keras_rnnx.datasets.prepare`.
        ValueError: as there, and for an option out of range.
    """
    integer("shortest", shortest, 1)
    integer("longest", longest, shortest)
    sizes = {"train": train, "validation": validation, "test": test}
    for name, size in sizes.items():
        integer(name, size, 1)
    integer("seed", seed, 0)
    clips = _clips(
        prepare("rnnx_spoken_digits", data_dir=data_dir, manual_dir=manual_dir)
    )
    drawn = [
        _strings(generator(seed, name), clips[name], sizes[name], shortest, longest)
        for name in PARTS
    ]
    scaled = _scaled([x for x, _ in drawn])
    parts = {name: Split(x, y) for name, x, (_, y) in zip(PARTS, scaled, drawn)}
    options = {"shortest": shortest, "longest": longest, **sizes, "seed": seed}
    return Task(
        name="spoken_digit_strings",
        description=f"Which {shortest} to {longest} digits somebody says.",
        kind="ctc",
        classes=10,
        target_vocabulary=Vocabulary([BLANK, *"0123456789"]),
        options=options,
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
    )


def _clips(builder: Any) -> dict[str, dict[int, list[Any]]]:
    """By parts, the clips of each speaker with their digits."""
    clips: dict[str, dict[int, list[Any]]] = {name: {} for name in PARTS}
    for part in ("train", "test"):
        values = read(builder, part)
        columns = (values[c] for c in ("sequence", "digit", "speaker", "index"))
        for frames, digit, speaker, index in zip(*columns):
            late = part == "train" and index >= VALIDATION
            name = "validation" if late else part
            clips[name].setdefault(speaker, []).append((frames, digit))
    return clips


def _strings(
    random: np.random.Generator,
    clips: dict[int, list[Any]],
    size: int,
    shortest: int,
    longest: int,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Clips of one speaker each, joined, and the labels of their digits."""
    speakers = sorted(clips)
    x, y = [], []
    for _ in range(size):
        own = clips[speakers[random.integers(len(speakers))]]
        count = random.integers(shortest, longest + 1)
        taken = [own[k] for k in random.integers(len(own), size=count)]
        x.append(np.concatenate([frames for frames, _ in taken]))
        y.append(np.array([1 + digit for _, digit in taken], "int32"))
    return x, y


def _scaled(parts: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    """All parts with mean 0 and deviation 1 over all steps of the first."""
    steps = np.concatenate(parts[0])
    mean, deviation = steps.mean(axis=0), steps.std(axis=0)
    return [
        [((row - mean) / deviation).astype("float32") for row in part] for part in parts
    ]
