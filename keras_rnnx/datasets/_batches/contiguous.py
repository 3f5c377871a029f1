"""A long sequence in batches that continue each other."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, TypeGuard

import keras
import numpy as np

from keras_rnnx._numbers import integer
from keras_rnnx.datasets._batches.random_steps import RandomSteps


class ContiguousBatches(keras.utils.PyDataset):
    """A long sequence in batches that continue each other, for stateful layers.

    The sequence is cut into `batch_size` rows of equal length. A batch holds the next
    `steps` steps of each row, so that the states at its end are the right ones to begin
    the next batch with. Steps at the end of the sequence that do not fill all rows are
    left out.

    Train with `keras_rnnx.callbacks.TruncatedBPTT`, and with `shuffle=False`: `fit`
    would otherwise shuffle the batches, which raises an error at the end of the epoch
    at the latest.

    Args:
        data: `(time,)`, as the tokens of a text, or `(time, features)`.
        batch_size: number of rows.
        steps: steps in a batch, or a `RandomSteps`.
        targets: `(time, ...)`, the target of each step. Default None: the data one step
            later.
        drop_remainder: whether to leave out steps at the end of the rows so that all
            batches are equally long, as a model with a fixed number of steps needs.
            That is faster on TensorFlow. Default False: the first batch is shorter if
            the rows are no multiple of `steps`.

    Raises:
        ValueError: for arrays without a time axis or of unequal length, too few steps
            for one batch, `drop_remainder` with `RandomSteps`, or an argument out of
            range.

    Example:

    >>> batches = keras_rnnx.datasets.ContiguousBatches(np.arange(13), 2, steps=3)
    >>> x, y = batches[1]
    >>> len(batches), x.tolist(), y.tolist()
    (2, [[3, 4, 5], [9, 10, 11]], [[4, 5, 6], [10, 11, 12]])
    """

    def __init__(
        self,
        data: Any,
        batch_size: int,
        steps: int | RandomSteps,
        targets: Any = None,
        drop_remainder: bool = False,
    ):
        super().__init__()
        data = np.asarray(data)
        self.batch_size = integer("batch_size", batch_size, least=1)
        self.steps = steps if _random(steps) else integer("steps", steps, least=1)
        if _random(steps) and drop_remainder:
            raise ValueError(
                "`drop_remainder=True` makes all batches equally long, received "
                f"steps={steps!r}. Give a number of steps, or drop_remainder=False."
            )
        if targets is None and data.ndim:
            data, targets = data[:-1], data[1:]
        targets = np.asarray(targets)
        if not data.ndim or len(data) != len(targets):
            raise ValueError(
                "`data` and `targets` are arrays with as many steps each, received "
                f"shapes {data.shape} and {targets.shape}."
            )
        row = len(data) // self.batch_size
        self._x, self._y = (_rows(a, self.batch_size, row) for a in (data, targets))
        self._lengths = _lengths(self.steps, row, drop_remainder)
        if not self._lengths:
            raise ValueError(
                f"The sequence is too short: {len(data)} steps with a target, in "
                f"batch_size={batch_size} rows, give {row} steps a row, and a batch "
                f"takes steps={steps!r}. Give fewer rows or steps."
            )
        #: Number of batches trained on since the beginning; `TruncatedBPTT` counts.
        self.position = 0
        self._reading = False
        self.seek(0)

    def seek(self, epoch: int, batch: int = 0) -> None:
        """Goes to a batch of an epoch; `TruncatedBPTT` calls it.

        Args:
            epoch: the epoch, which determines the order of random numbers of steps.
            batch: the batch that `fit` is to begin this epoch with. Default 0.
        """
        self.lengths = self._lengths
        if _random(self.steps):
            self.lengths = self.steps.order(self._lengths, epoch)
        self.start = batch
        self._borders = [0, *accumulate(self.lengths)]
        self._last = self._ahead = -1
        self._jump: tuple[int, int] | None = None

    @property
    def random_steps(self) -> bool:
        """Whether numbers of steps are drawn at random."""
        return _random(self.steps)

    def scale(self, batch: int) -> float:
        """The length of a batch over the usual one; 1 without `RandomSteps`."""
        return self.lengths[batch] / self.steps.steps if _random(self.steps) else 1.0

    @property
    def num_batches(self) -> int:
        """Number of batches; while `fit` reads them, of those from `start` on."""
        return len(self.lengths) - (self.start if self._reading else 0)

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} batches, received index {index}.")
        if self._reading:
            if index not in (0, self._last + 1, self._ahead + 1):
                self._jump = self._jump or (self._last, index)
            self._last = self._ahead = index
            index += self.start
        elif index == self._ahead + 1:
            # Between two epochs Keras may read batches of the next one ahead.
            self._ahead = index
        start, stop = self._borders[index : index + 2]
        return self._x[:, start:stop], self._y[:, start:stop]

    def on_epoch_begin(self) -> None:
        self._reading = True

    def on_epoch_end(self) -> None:
        self.check_order()
        self._reading = False

    def check_order(self) -> None:
        """Raises a ValueError if `fit` has read the batches in another order."""
        if self._jump:
            before, after = self._jump
            self._reading, self._jump = False, None
            raise ValueError(
                f"The batches continue each other, but were read out of order: batch "
                f"{after} after {'the start' if before < 0 else f'batch {before}'}. "
                "Call fit with shuffle=False."
            )


def _random(steps: int | RandomSteps) -> TypeGuard[RandomSteps]:
    return isinstance(steps, RandomSteps)


def _rows(array: np.ndarray, rows: int, length: int) -> np.ndarray:
    return array[: rows * length].reshape(rows, length, *array.shape[1:])


def _lengths(
    steps: int | RandomSteps, row: int, drop_remainder: bool
) -> tuple[int, ...]:
    if isinstance(steps, RandomSteps):
        return steps.draw(row)
    # The shorter batch comes first: on TensorFlow, Keras takes the length as fixed if
    # the first two are equal.
    rest = row % steps
    first = (rest,) if rest and not drop_remainder else ()
    return first + (steps,) * (row // steps)
