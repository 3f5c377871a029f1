"""The tasks of the comparison, cut to a size at which several trials fit in the time.

The seconds below are those of one trial to its last epoch, for the default model (one
layer of 64 LSTM units) on one core with torch. Other models of the space take up to ten
times as long.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_rnnx.datasets import Task


@dataclasses.dataclass(frozen=True)
class Setting:
    """How a task is used.

    Attributes:
        options: of `load_task`.
        epochs: most epochs of a trial.
        train: so many sequences are drawn from the training part; None: all.
        validation: so many are moved from the training part to that for validation.
        objective: name and direction in place of those of the task, or None.
        files: whether it is made from raw files.
        note: what the setting is, for the report.
    """

    options: Mapping[str, Any]
    epochs: int
    train: int | None = None
    validation: int = 0
    objective: tuple[str, str] | None = None
    files: bool = False
    note: str = ""


SETTINGS = {
    "digits": Setting(
        {}, 20, note="1,280 images pixel by pixel, 64 steps; 20 epochs, 7 s"
    ),
    "adding": Setting(
        {"length": 200, "train": 1000, "validation": 200, "test": 500},
        20,
        note="200 steps, 1,000 sequences; 20 epochs, 12 s",
    ),
    "jsb_chorales": Setting(
        {}, 25, files=True, note="all 229 chorales; 25 epochs, 7 s"
    ),
    # Accuracy on few sequences is the same for many models: the loss tells them apart.
    "japanese_vowels": Setting(
        {},
        40,
        validation=60,
        objective=("val_loss", "min"),
        files=True,
        note="183 sequences, 87 for validation, by their loss; 40 epochs, 2 s",
    ),
    "trec": Setting(
        {}, 15, train=2000, files=True, note="2,000 of 4,907 questions; 15 epochs, 9 s"
    ),
    "mackey_glass": Setting(
        {"length": 100}, 25, note="100 steps, 1,000 series; 25 epochs, 9 s"
    ),
}


def load(name: str, manual_dir: str | None = None, data_dir: str | None = None) -> Task:
    """Makes a task as the comparison uses it; its data are the same for all seeds.

    Args:
        name: of the task.
        manual_dir: folder with raw files, themselves or in folders in it.
        data_dir: folder of prepared data sets. Default: that of TFDS.
    """
    from keras_rnnx.datasets import load_task

    setting = SETTINGS[name]
    options = dict(setting.options)
    if setting.files:
        options |= {"manual_dir": manual_dir, "data_dir": data_dir}
    return shrunk(load_task(name, **options), setting)


def shrunk(task: Task, setting: Setting) -> Task:
    """A task with fewer sequences for training, or more of them for validation."""
    import numpy as np

    from keras_rnnx.datasets import Objective, Split

    def part(split, rows):
        return Split(
            *(
                values[rows]
                if isinstance(values, np.ndarray)
                else None
                if values is None
                else [values[row] for row in rows]
                for values in split
            )
        )

    changes: dict[str, Any] = {}
    if setting.train is not None or setting.validation:
        rows = np.random.default_rng(0).permutation(len(task.train.x))
        moved, left = rows[: setting.validation], rows[setting.validation :]
        changes["train"] = part(task.train, left[: setting.train])
        if setting.validation:
            changes["validation"] = Split(
                *(
                    _joined(first, second)
                    for first, second in zip(task.validation, part(task.train, moved))
                )
            )
    if setting.objective is not None:
        changes["objective"] = Objective(*setting.objective)
    return dataclasses.replace(task, **changes)


def _joined(first, second):
    import numpy as np

    if first is None:
        return None
    if isinstance(first, np.ndarray):
        return np.concatenate([first, second])
    return [*first, *second]
