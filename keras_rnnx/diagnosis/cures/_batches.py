"""The batches that candidates train on, the same for all, and the held-out ones."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import keras
import numpy as np

from keras_rnnx.diagnosis import _data
from keras_rnnx.diagnosis._data import Batch

# The share that is held out where there are no data for validation.
HELD_OUT = 0.2


class Source(Protocol):
    """Batches by number, as many as one asks for.

    Attributes:
        epoch: number of batches of an epoch.
        shown: inputs that show what the data are like.
    """

    epoch: int
    shown: Any

    def batch(self, step: int) -> Batch:
        """The batch of a step."""


class Arrays:
    """Batches of arrays, in another order in each epoch.

    Args:
        whole: the arrays.
        size: samples in a batch. A remainder is left out, another one in each epoch.
        seed: of the order.
    """

    def __init__(self, whole: Batch, size: int, seed: int):
        self._whole, self._size, self._seed = whole, min(size, whole.size), seed
        self.epoch = whole.size // self._size
        self.shown = whole.x
        self._order: tuple[int, np.ndarray] | None = None

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        epoch, at = divmod(step, self.epoch)
        if self._order is None or self._order[0] != epoch:
            random = np.random.default_rng([self._seed, epoch])
            self._order = epoch, random.permutation(self._whole.size)
        return self._whole.rows(self._order[1][at * self._size : (at + 1) * self._size])


class Given:
    """Batches that a data set gives.

    Args:
        dataset: with `len` and items; or a list of batches.
        numbers: of the batches to take.
        seed: of their order, which is another one in each epoch; None: as they are.
    """

    def __init__(self, dataset: Any, numbers: np.ndarray, seed: int | None):
        self._dataset, self._numbers, self._seed = dataset, numbers, seed
        self.epoch = len(numbers)
        self.shown = self.batch(0).x

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        epoch, at = divmod(step, self.epoch)
        numbers = self._numbers
        if self._seed is not None:
            numbers = np.random.default_rng([self._seed, epoch]).permutation(numbers)
        item = self._dataset[int(numbers[at])]
        return item if isinstance(item, Batch) else _data.as_batch(item)


class Chunk(keras.utils.PyDataset):
    """Some steps of a source, for `fit` and `evaluate`.

    Args:
        source: the batches.
        first, count: which steps.
    """

    def __init__(self, source: Source, first: int, count: int):
        super().__init__()
        self._source, self._first, self._count = source, first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self._source.batch(self._first + index).parts


@dataclasses.dataclass
class Split:
    """What candidates train on, and what they are compared on.

    Attributes:
        training, validation: the batches.
        told: how they were split, in words.
    """

    training: Source
    validation: Source
    told: str


def split(
    model: keras.Model,
    data: tuple[Any, Any, Any],
    validation: Any,
    size: int,
    seed: int,
    stateful: bool,
) -> Split:
    """Splits data into those for training and those for validation.

    Args:
        model: the model.
        data: inputs, targets and weights, as for `diagnose`.
        validation: data for validation, or None.
        size: samples in a batch, of arrays.
        seed: of the order of batches, and of what is held out.
        stateful: whether the order of batches must stay.

    Raises:
        ValueError: if there are too few data, no targets, or data of a wrong shape.
    """
    x, y, weights = data
    size = _data.fixed_size(model) or size
    if _data.is_task(x):
        if validation is None:
            validation = x.batches("validation", size)
        x = x.batches("train", size)
    order = None if stateful else seed
    if not _data.is_dataset(x):
        whole = _data.of_arrays(x, y, weights)
        _check(model, whole, "x")
        if validation is not None:
            held = _validation(model, validation, size, seed)
            return Split(Arrays(whole, size, seed), *held)
        count = round(HELD_OUT * whole.size)
        if count < 1 or whole.size - count < 1:
            raise ValueError(
                f"`validation_data` is missing, and `x` has {whole.size} samples, too "
                f"few to hold some out. Give more data, or `validation_data`."
            )
        rows = np.random.default_rng(seed).permutation(whole.size)
        kept, out = whole.rows(rows[count:]), whole.rows(rows[:count])
        told = f"{count} of {whole.size} samples, held out at random"
        return Split(Arrays(kept, size, seed), _in_order(model, out, size), told)
    if y is not None or weights is not None:
        raise ValueError(
            "`x` is a data set, whose batches hold targets and weights: received `y` "
            "or `sample_weight` as well. Leave them out."
        )
    dataset, count = _indexed(x, "x")
    _check(model, Given(dataset, np.arange(1), None).batch(0), "x")
    if validation is not None:
        held = _validation(model, validation, size, seed)
        return Split(Given(dataset, np.arange(count), order), *held)
    last = max(1, round(HELD_OUT * count))
    if count - last < 1:
        raise ValueError(
            f"`validation_data` is missing, and `x` has {count} batch"
            f"{'es' * (count != 1)}, too few to hold some out. Give `validation_data`."
        )
    numbers = np.arange(count)
    return Split(
        Given(dataset, numbers[: count - last], order),
        Given(dataset, numbers[count - last :], None),
        f"the last {last} of {count} batches",
    )


def _validation(
    model: keras.Model, data: Any, size: int, seed: int
) -> tuple[Source, str]:
    name = "validation_data"
    if isinstance(data, (tuple, list)) and len(data) in (2, 3):
        try:
            whole = _data.of_arrays(*data, *[None] * (3 - len(data)))
        except ValueError as error:
            raise ValueError(f"`{name}`: {error}") from error
        _check(model, whole, name)
        return _in_order(model, whole, size), f"{whole.size} samples"
    if not _data.is_dataset(data):
        raise ValueError(
            f"`{name}` must be (x, y), (x, y, sample_weight) or a data set of such "
            f"batches, received {type(data).__name__}."
        )
    dataset, count = _indexed(data, name)
    source = Given(dataset, np.arange(count), None)
    _check(model, source.batch(0), name)
    return source, f"{count} batches"


def _check(model: keras.Model, batch: Batch, name: str) -> None:
    if batch.y is None:
        raise ValueError(
            f"`{name}` has no targets: training needs them. Give them as "
            f"{'`y`' if name == 'x' else '(x, y)'}."
        )
    try:
        _data.check_shapes(model, batch.x)
    except ValueError as error:
        raise ValueError(str(error).replace("`x", f"`{name}", 1)) from error


def _indexed(dataset: Any, name: str) -> tuple[Any, int]:
    """A data set whose batches can be asked for by number, and their number."""
    if isinstance(dataset, keras.utils.PyDataset) and dataset.num_batches is not None:
        count = dataset.num_batches
    else:
        dataset = [_data.as_batch(item) for item in dataset]
        count = len(dataset)
    if not count:
        raise ValueError(f"`{name}` is a data set without batches.")
    return dataset, count


def _in_order(model: keras.Model, whole: Batch, size: int) -> Given:
    fixed = _data.fixed_size(model)
    # Larger batches take less time.
    size = fixed or min(4 * size, whole.size)
    starts = range(0, whole.size - (size - 1 if fixed else 0), size)
    if not starts:
        raise ValueError(
            f"`validation_data` has {whole.size} samples, and the model takes {fixed} "
            f"in a batch."
        )
    batches = [whole.rows(slice(k, k + size)) for k in starts]
    return Given(batches, np.arange(len(batches)), None)
