"""The data of a task, or which file is missing."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import keras

# The files of each task that is not drawn; one of the names of each is enough.
FILES: dict[str, tuple[tuple[str, ...], ...]] = {
    "jsb_chorales": (("JSB_Chorales.mat", "jsb_chorales.npz"),),
    "nottingham": (("Nottingham.mat", "nottingham.npz"),),
    "musedata": (("MuseData.mat", "musedata.npz"),),
    "piano_midi": (("Piano_midi.mat", "piano_midi.npz"),),
    "sequential_mnist": (("mnist.npz",),),
    "penn_treebank": tuple(
        (f"ptb.{part}.txt", f"ptb.{part}.txt.xz") for part in ("train", "valid", "test")
    ),
}
FILES["penn_treebank_characters"] = FILES["penn_treebank"]


def missing(task: str, folder: pathlib.Path | None) -> str | None:
    """Which file a task lacks, in a sentence, or None.

    Args:
        task: its name.
        folder: where raw files are, in it or below it; None: there are none.
    """
    for names in FILES.get(task, ()):
        said = " or ".join(names)
        if folder is None:
            return f"{task} needs {said}: pass --data with the folder that holds it."
        if _place(names, folder) is None:
            return f"{task} needs {said}, which is not in {folder}."
    return None


def _place(names, folder):
    for name in names:
        for path in sorted(folder.rglob(name)):
            return path.parent
    return None


def load(task: str, folder: pathlib.Path | None, options: Mapping[str, Any]) -> Any:
    """The task, from raw files below a folder or drawn.

    Args:
        task: its name.
        folder: where raw files are.
        options: of the task.
    """
    from keras_rnnx import datasets

    more = dict(options)
    if task in FILES:
        assert folder is not None
        more["manual_dir"] = _place(FILES[task][0], folder)
    return datasets.load_task(task, **more)


class Fresh(keras.utils.PyDataset):
    """Sequences that are drawn anew for each epoch, the same ones for the same epoch.

    Args:
        task: a task that is drawn.
        options: of the task.
        updates: batches in an epoch.
        batch: sequences in a batch.
        seed: seed of a run.
    """

    def __init__(
        self,
        task: str,
        options: Mapping[str, Any],
        updates: int,
        batch: int,
        seed: int,
    ):
        super().__init__()
        self.task, self.options = task, dict(options)
        self.updates, self.batch, self.seed = updates, batch, seed
        self.epoch = -1
        self.seek(0)

    def seek(self, epoch: int) -> None:
        """Draws the sequences of an epoch."""
        if epoch == self.epoch:
            return
        self.epoch = epoch
        sizes = {"train": self.updates * self.batch, "validation": 1, "test": 1}
        # No epoch of another run, and no part of this one, has the same seed.
        seed = (self.seed + 1) * 1_000_003 + epoch
        options = {**self.options, **sizes, "seed": seed}
        self.split = load(self.task, None, options).train

    def __len__(self) -> int:
        return self.updates

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        rows = slice(index * self.batch, (index + 1) * self.batch)
        return self.split.x[rows], self.split.y[rows]
