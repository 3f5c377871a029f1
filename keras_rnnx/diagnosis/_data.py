"""The batches that a model is measured on."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from keras_rnnx import _states


@dataclasses.dataclass
class Batch:
    """One batch, as structures of NumPy arrays.

    Attributes:
        x: inputs.
        y: targets, or None.
        weights: of the samples, or None.
    """

    x: Any
    y: Any = None
    weights: Any = None

    @property
    def size(self) -> int:
        """Number of samples."""
        return len(keras.tree.flatten(self.x)[0])

    @property
    def parts(self) -> tuple[Any, ...]:
        """What `fit` gets of such a batch."""
        if self.weights is not None:
            return self.x, self.y, self.weights
        return (self.x,) if self.y is None else (self.x, self.y)

    def rows(self, index: Any) -> Batch:
        """Some of its samples."""
        parts = keras.tree.map_structure(
            lambda a: None if a is None else a[index], (self.x, self.y, self.weights)
        )
        return Batch(*parts)


@dataclasses.dataclass
class Data:
    """What a model is measured on.

    Attributes:
        measured: the batch for measures of each step.
        batches: batches as in training, for norms of gradients.
        whole: all that was given, where that is arrays; else the measured batch.
        place: what samples are counted in, in words.
    """

    measured: Batch
    batches: list[Batch]
    whole: Batch
    place: str


def prepare(
    model: keras.Model,
    x: Any,
    y: Any,
    sample_weight: Any,
    sequences: int,
    batches: int,
    batch_size: int,
    seed: int,
) -> Data:
    """Draws the batches.

    Args:
        model: the model.
        x, y, sample_weight, sequences, batches, batch_size, seed: as for `diagnose`.

    Raises:
        ValueError: if there are no data, or if they don't fit each other or the model.
    """
    fixed = fixed_size(model)
    if is_task(x):
        x = x.batches("train", batch_size)
    if is_dataset(x):
        if y is not None or sample_weight is not None:
            raise ValueError(
                "`x` is a data set, whose batches hold targets and weights: received "
                "`y` or `sample_weight` as well. Leave them out."
            )
        found = [as_batch(item) for item in _items(x, batches)]
        if not found or not found[0].size:
            raise ValueError("`x` is a data set without batches: nothing to measure.")
        measured = whole = found[0]
        if fixed is None and measured.size > sequences:
            measured = measured.rows(slice(sequences))
        place = "the first batch"
    else:
        place, whole = "the data", of_arrays(x, y, sample_weight)
        size = min(fixed or batch_size, whole.size)
        order = np.arange(whole.size)
        if fixed is None:
            order = np.random.default_rng(seed).permutation(order)
        measured = whole.rows(order[: fixed or sequences])
        starts = range(0, whole.size - size + 1, size)
        found = [whole.rows(order[k : k + size]) for k in starts[:batches]]
    check_shapes(model, measured.x)
    if fixed is not None and measured.size != fixed:
        raise ValueError(
            f"`x` has batches of {measured.size} samples, and the model is stateful "
            f"or was made for {fixed} samples in a batch. Give at least {fixed}."
        )
    return Data(measured, found, whole, place)


def is_task(x: Any) -> bool:
    """Whether it has parts with data, as those of `keras_rnnx.datasets`."""
    return hasattr(x, "batches") and hasattr(x, "train") and hasattr(x, "kind")


def is_dataset(x: Any) -> bool:
    """Whether it is something to loop over that gives batches."""
    if isinstance(x, keras.utils.PyDataset):
        return True
    nested = isinstance(x, (list, tuple, dict))
    return not nested and not hasattr(x, "shape") and isinstance(x, Iterable)


def _items(dataset: Any, count: int) -> Iterator[Any]:
    if isinstance(dataset, keras.utils.PyDataset):
        known = dataset.num_batches
        for index in range(count if known is None else min(count, known)):
            yield dataset[index]
    else:
        yield from itertools.islice(iter(dataset), count)


def as_batch(item: Any) -> Batch:
    """What a data set gives, as NumPy arrays."""
    x, y, weights = keras.utils.unpack_x_y_sample_weight(item)
    return Batch(*(_as_numpy(part) for part in (x, y, weights)))


def _as_numpy(structure: Any) -> Any:
    def array(value: Any) -> Any:
        if value is None or isinstance(value, np.ndarray):
            return value
        if hasattr(value, "detach") or hasattr(value, "numpy"):
            return keras.ops.convert_to_numpy(value)
        return np.asarray(value)

    return keras.tree.map_structure(array, structure)


def of_arrays(x: Any, y: Any, weights: Any) -> Batch:
    """Arrays as `fit` takes them, as one batch.

    Raises:
        ValueError: if they are no arrays, empty, or of different lengths, or if there
            are weights without targets.
    """
    if isinstance(x, (list, tuple)) and not any(hasattr(a, "shape") for a in x):
        # Numbers in lists; a list of arrays is several inputs.
        x = np.asarray(x)
    whole = Batch(*(_as_numpy(part) for part in (x, y, weights)))
    if weights is not None and y is None:
        raise ValueError(
            "`sample_weight` weighs the loss, which needs targets: received y=None."
        )
    for name, part in (("x", whole.x), ("y", y), ("sample_weight", weights)):
        for array in keras.tree.flatten(_as_numpy(part)):
            if array is None:
                continue
            if not np.ndim(array):
                raise ValueError(
                    f"`{name}` must be an array with samples along the first axis, a "
                    f"data set, or a task; received {array!r}."
                )
            if len(array) != whole.size:
                raise ValueError(
                    f"`{name}` has {len(array)} samples, and `x` has {whole.size}."
                )
    if not whole.size:
        raise ValueError("`x` has no samples: there is nothing to measure.")
    return whole


def fixed_size(model: keras.Model) -> int | None:
    """The size of all batches, where a model takes no other."""
    inputs = getattr(model, "inputs", None) or []
    for tensor in inputs:
        if tensor.shape and tensor.shape[0] is not None:
            return int(tensor.shape[0])
    kept = _states.variables(model)
    return int(kept[0].shape[0]) if kept else None


def check_shapes(model: keras.Model, x: Any) -> None:
    """Raises a ValueError for inputs that a functional model does not take."""
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return
    arrays = keras.tree.flatten(x)
    if isinstance(x, dict):
        named = {tensor.name: tensor for tensor in inputs}
        pairs = [(x[n], t, f"`x[{n!r}]`") for n, t in named.items() if n in x]
    elif len(arrays) != len(inputs):
        raise ValueError(
            f"`x` has {len(arrays)} arrays, and the model takes {len(inputs)} inputs."
        )
    else:
        names = [f"`x[{k}]`" if len(arrays) > 1 else "`x`" for k in range(len(arrays))]
        pairs = list(zip(arrays, inputs, names))
    for array, tensor, name in pairs:
        shape, takes = tuple(np.shape(array)), tuple(tensor.shape)
        fits = _fits(shape, takes) or (takes[-1:] == (1,) and _fits(shape, takes[:-1]))
        if not fits:
            raise ValueError(
                f"{name} has shape {shape}, and the model takes {takes}, where None is "
                f"any number."
            )


def _fits(shape: tuple[int, ...], takes: tuple[int | None, ...]) -> bool:
    same = len(shape) == len(takes)
    return same and all(t in (None, n) for n, t in zip(shape[1:], takes[1:]))
