"""Data sets that keep their last batches."""

from __future__ import annotations

import collections
import math
from typing import Any

import keras
import numpy as np

from keras_rnnx._numbers import integer


class WatchedBatches(keras.utils.PyDataset):
    """Wraps a data set, and keeps the batches that Keras has not trained on yet.

    Args:
        dataset: a `keras.utils.PyDataset` that one thread reads.

    Attributes:
        pending: the kept batches, each with its index in the data set.

    Raises:
        ValueError: for more than one worker.
    """

    def __init__(self, dataset: keras.utils.PyDataset):
        super().__init__()
        if dataset.workers > 1 or dataset.use_multiprocessing:
            raise ValueError(
                "Batches can only be watched if one thread reads them: received a data "
                f"set with workers={dataset.workers}, use_multiprocessing="
                f"{dataset.use_multiprocessing}. Use workers=1."
            )
        self.dataset = dataset
        self.pending: collections.deque[tuple[int, Any]] = collections.deque()

    @property
    def num_batches(self) -> int | None:
        """The number of batches of the data set."""
        return self.dataset.num_batches

    def __getitem__(self, index: int) -> Any:
        batch = self.dataset[index]
        self.pending.append((int(index), batch))
        return batch

    def on_epoch_begin(self) -> None:
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.dataset.on_epoch_end()


class ArrayBatches(keras.utils.PyDataset):
    """Batches of arrays, as `fit` makes them, in a new order in each epoch.

    Args:
        arrays: a tuple of inputs, and targets and sample weights if there are any;
            each an array or a structure of arrays, with samples along the first axis.
        batch_size: samples in a batch; the last one may have fewer.
        shuffle: whether samples come in a new order in each epoch.
        seed: seed of the order.

    Raises:
        ValueError: for arrays of unequal length, or without samples.
    """

    def __init__(self, arrays: tuple, batch_size: int, shuffle: bool, seed: int):
        super().__init__()
        self.arrays = keras.tree.map_structure(np.asarray, arrays)
        self.batch_size = integer("batch_size", batch_size, least=1)
        self.shuffle = shuffle
        sizes = {a.shape[0] if a.ndim else 0 for a in keras.tree.flatten(self.arrays)}
        if len(sizes) != 1 or 0 in sizes:
            raise ValueError(
                "All arrays need the same number of samples, at least one; received "
                f"{', '.join(map(str, sorted(sizes)))}."
            )
        self._order = np.arange(*sizes)
        self._random = np.random.default_rng(integer("seed", seed, least=0))

    @property
    def num_batches(self) -> int:
        """Number of batches in an epoch."""
        return math.ceil(len(self._order) / self.batch_size)

    def __getitem__(self, index: int) -> tuple:
        start = index * self.batch_size
        rows = self._order[start : start + self.batch_size]
        return keras.tree.map_structure(lambda array: array[rows], self.arrays)

    def on_epoch_begin(self) -> None:
        if self.shuffle:
            self._order = self._random.permutation(len(self._order))
