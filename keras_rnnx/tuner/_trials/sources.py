"""Makes the data of a search from the arguments of the user."""

from __future__ import annotations

from typing import Any

from keras_rnnx.datasets import Task, load_task
from keras_rnnx.tuner._trials.data import SearchData, TaskData
from keras_rnnx.tuner._trials.loaders import LoaderData, is_loader


def data_for(
    x: Any,
    y: Any = None,
    *,
    validation_data: Any = None,
    validation_split: float | None = None,
    test_data: Any = None,
    test_split: float | None = None,
    kind: str | None = None,
    batch_size: int | None = None,
    folds: int = 1,
    groups: Any = None,
    class_weight: Any = None,
) -> SearchData:
    """Makes the data of a search from the arguments of the user.

    Args:
        x: a task or its name; sequences, as for `Task.from_arrays`; or batches.
        y: targets; with batches, the batches for validation.
        validation_data, validation_split, test_data, test_split, kind, batch_size,
            folds, groups, class_weight: as for `search`.

    Raises:
        ValueError: for arguments that don't fit the kind of `x`.
    """
    split = {
        "validation_data": validation_data,
        "validation_split": validation_split,
        "test_data": test_data,
        "test_split": test_split,
        "kind": kind,
    }
    if isinstance(x, str):
        x = load_task(x)
    if isinstance(x, Task):
        unused = [
            name for name, value in {"y": y, **split}.items() if value is not None
        ]
        if unused:
            raise ValueError(
                f"A task has its own parts and kind: leave out "
                f"{', '.join(f'`{name}`' for name in unused)}."
            )
        return TaskData(x, batch_size, folds, groups, class_weight)
    if is_loader(x):
        others = {"folds": folds if folds != 1 else None, "groups": groups}
        others |= {"class_weight": class_weight, "batch_size": batch_size}
        others |= {k: split[k] for k in ("validation_split", "test_split")}
        unused = [name for name, value in others.items() if value is not None]
        if unused:
            raise ValueError(
                f"The batches of a loader are made already: leave out "
                f"{', '.join(f'`{n}`' for n in unused)}."
            )
        return LoaderData(x, validation_data if y is None else y, test_data, kind)
    parts: dict[str, Any] = {"kind": kind}
    for part in ("validation", "test"):
        data, share = split[f"{part}_data"], split[f"{part}_split"]
        if data is not None and share is not None:
            raise ValueError(
                f"`{part}_data` and `{part}_split` both give the {part} part, "
                f"received {part}_split={share!r} too. Pass one of them."
            )
        if data is not None or share is not None:
            parts[part] = share if data is None else data
    task = Task.from_arrays(x, y, **parts)
    return TaskData(task, batch_size, folds, groups, class_weight)
