"""Sequences of many lengths in padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_rnnx import _numbers

# Batches in a bucket: its sequences are sorted by length together.
BUCKET_BATCHES = 50


class PaddedBatches(keras.utils.PyDataset):
    """Sequences of many lengths in padded batches, for `fit` on every backend.

    Each batch is as long as its longest sequence. With `shuffle`, every epoch draws a
    new order, and sequences of like length come together, so that little of a batch is
    padding: the sequences are shuffled, cut into buckets, and sorted by length inside
    of each; then the batches are shuffled. Without it, they come in the order of `x`,
    as `predict` needs.

    Sequences of floats are padded with NaN, which no valid data holds, and a model
    begins with `keras_rnnx.layers.MaskPadding()`, which turns NaN into a mask.
    Sequences of integers (tokens) are padded with 0, and a model begins with an
    embedding with `mask_zero=True`.

    Args:
        x: sequences, a list of arrays `(time, features)` of floats or `(time,)` of
            integers, or one array of equally long ones.
        y: None; an array with a target for each sequence, `(n, ...)`; or a list of
            arrays with a target for each step, `(time, ...)` each. These are padded
            with `target_padding`.
        batch_size: sequences in a batch. Default 32.
        sample_weight: None, or a weight for each sequence, `(n,)`.
        shuffle: whether each epoch has a new order. Default True.
        seed: integer that, with the epoch, determines the order. Default 0.
        aligned: whether a list of targets has one for each step of `x`. False: target
            sequences have lengths of their own, as transcriptions have, and are padded
            to the longest of their batch. Default True.
        bucket_size: sequences that are sorted by length together. More of them leave
            less padding and more of the order of lengths. Default: 50 batches.
        pad_to_multiple_of: rounds up the length of batches. JAX and XLA compile a
            program for each length: fewer lengths are fewer programs. Default 1.
        target_padding: the target of padding, for targets of each step. Default 0.
        drop_remainder: whether to leave out the last sequences if they fill no batch.
            Default False.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of
            `keras.utils.PyDataset`.

    Raises:
        ValueError: for a sequence without steps, with NaN or the padding in it, or with
            other features than the first; targets that are not as many; an argument
            out of range. The message says which row.

    Example:

    >>> x = [np.ones((5, 2)), np.ones((3, 2)), np.ones((9, 2))]
    >>> batches = keras_rnnx.datasets.PaddedBatches(
    ...     x, np.array([0, 1, 0]), batch_size=2, shuffle=False
    ... )
    >>> len(batches), batches[0][0].shape, batches[0][1].tolist()
    (2, (2, 5, 2), [0, 1])
    """

    def __init__(
        self,
        x: Sequence[Any] | np.ndarray,
        y: Sequence[Any] | np.ndarray | None = None,
        batch_size: int = 32,
        sample_weight: Any = None,
        shuffle: bool = True,
        seed: int = 0,
        aligned: bool = True,
        bucket_size: int | None = None,
        pad_to_multiple_of: int = 1,
        target_padding: float = 0,
        drop_remainder: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.batch_size = _numbers.integer("batch_size", batch_size, 1)
        self.pad_to_multiple_of = _numbers.integer(
            "pad_to_multiple_of", pad_to_multiple_of, 1
        )
        self.shuffle, self.drop_remainder = bool(shuffle), bool(drop_remainder)
        self.seed = _numbers.integer("seed", seed, 0)
        if bucket_size is None:
            bucket_size = BUCKET_BATCHES * self.batch_size
        self.bucket_size = _numbers.integer("bucket_size", bucket_size, batch_size)
        self.target_padding = target_padding
        self._x = sequences(x)
        self.padding = 0 if self._x[0].dtype.kind == "i" else np.nan
        self.lengths = np.array([len(row) for row in self._x])
        self.aligned = bool(aligned)
        #: Whether targets are sequences, too.
        self.sequences_of_targets = isinstance(y, (list, tuple)) and np.ndim(y[0]) > 0
        #: Their lengths, or None.
        self.target_lengths: Any = None
        self._y = y
        if self.sequences_of_targets:
            self._y = _targets(y, self.lengths, self.aligned)
            self.target_lengths = np.array([len(row) for row in self._y])
        elif not self.aligned:
            raise ValueError(
                "`aligned=False` takes a list of target sequences as `y`, received "
                f"{type(y).__name__}."
            )
        elif y is not None:
            self._y = _per_sequence("y", y, len(self._x))
        self._weights = None
        if sample_weight is not None:
            self._weights = _per_sequence("sample_weight", sample_weight, len(self._x))
        if self.drop_remainder and len(self._x) < self.batch_size:
            raise ValueError(
                f"`drop_remainder=True` leaves no batch: there are {len(self._x)} "
                f"sequences, and batch_size={batch_size}."
            )
        self.seek(0)

    def seek(self, epoch: int) -> None:
        """Goes to the order of an epoch.

        Each pass of Keras over the data goes on to the next epoch, also a pass that
        only builds a model.

        Args:
            epoch: number of the epoch, from 0.
        """
        self.epoch, self._within_epoch = epoch, False
        order = np.arange(len(self._x))
        random = np.random.default_rng([self.seed, epoch])
        if self.shuffle:
            random.shuffle(order)
            starts = range(self.bucket_size, len(order), self.bucket_size)
            buckets = np.split(order, starts)
            # Equally long sequences keep their order.
            order = np.concatenate([b[self._by_length(b)] for b in buckets])
        starts = range(self.batch_size, len(order), self.batch_size)
        batches = np.split(order, starts)
        if self.drop_remainder and len(batches[-1]) < self.batch_size:
            batches.pop()
        if self.shuffle:
            batches = [batches[k] for k in random.permutation(len(batches))]
        self._batches = batches
        self._steps = self._lengths_of_batches(self.lengths)
        self._target_steps = self._steps
        if not self.aligned:
            self._target_steps = self._lengths_of_batches(self.target_lengths)

    def _by_length(self, rows: np.ndarray) -> np.ndarray:
        keys: tuple[Any, ...] = (self.lengths[rows],)
        if not self.aligned:
            keys = (self.target_lengths[rows], *keys)
        return np.lexsort(keys)

    def _lengths_of_batches(self, lengths: np.ndarray) -> list[int]:
        multiple = self.pad_to_multiple_of
        longest = np.array([lengths[rows].max() for rows in self._batches])
        # A target without labels is valid, a batch without steps is not.
        steps = -(-np.maximum(longest, 1) // multiple) * multiple
        # On TensorFlow, Keras takes the length as fixed if the first two are equal.
        if np.any(steps != steps[0]) and steps[0] == steps[1]:
            steps[1] += multiple
        return steps.tolist()

    @property
    def num_batches(self) -> int:
        """Number of batches in an epoch."""
        return len(self._batches)

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """A batch: `(x,)`, `(x, y)` or `(x, y, sample_weight)`."""
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} batches, received index {index}.")
        rows, steps = self._batches[index], self._steps[index]
        batch: tuple[Any, ...] = (
            _padded([self._x[row] for row in rows], steps, self.padding),
        )
        if self._y is not None:
            y = [self._y[row] for row in rows]
            if self.sequences_of_targets:
                steps = self._target_steps[index]
                batch += (_padded(y, steps, self.target_padding),)
            else:
                batch += (np.stack(y),)
        if self._weights is not None:
            batch += (None,) if self._y is None else ()
            batch += (self._weights[rows],)
        return batch

    def on_epoch_begin(self) -> None:
        self._within_epoch = True

    def on_epoch_end(self) -> None:
        # Keras also calls it before the first epoch of `fit`.
        if self._within_epoch:
            self.seek(self.epoch + 1)


def _padded(rows: Sequence[np.ndarray], steps: int, padding: Any) -> np.ndarray:
    first = rows[0]
    batch = np.full((len(rows), steps, *first.shape[1:]), padding, first.dtype)
    for place, row in zip(batch, rows):
        place[: len(row)] = row
    return batch


def sequences(x: Any) -> Any:
    """Sequences of int32 or float32, checked: a list of arrays, or one array.

    Raises:
        ValueError: for sequences that `PaddedBatches` refuses; the message names the
            row.
    """
    if not len(x):
        raise ValueError("`x` holds no sequence.")
    rows = x if isinstance(x, np.ndarray) else [np.asarray(row) for row in x]
    whole = all(row.dtype.kind in "iu" and row.ndim == 1 for row in rows)
    rank = 1 if whole else 2
    for n, row in enumerate(rows):
        if row.dtype.kind not in "iufb" or row.ndim != rank:
            raise ValueError(
                f"`x` takes sequences (time, features) of numbers, or (time,) of "
                f"integers; row {n} has shape {row.shape} and dtype {row.dtype}."
            )
        if not len(row):
            raise ValueError(f"Row {n} of `x` has no steps. Leave it out.")
        if row.shape[1:] != rows[0].shape[1:]:
            raise ValueError(
                f"Row {n} of `x` has {row.shape[1]} features, and row 0 has "
                f"{rows[0].shape[1]}."
            )
        bad = row == 0 if whole else np.isnan(row)
        if not np.any(bad):
            continue
        step = int(np.argwhere(bad)[0][0])
        if whole:
            raise ValueError(
                f"Row {n} of `x` holds 0 at step {step}, which marks padding. Add 1 to "
                f"all tokens, as a vocabulary does that keeps 0 for it."
            )
        column = int(np.argwhere(bad)[0][1])
        raise ValueError(
            f"Row {n} of `x` holds NaN at step {step} in feature {column}, and NaN "
            f"marks padding. Put a value in its place, or leave the step out."
        )
    dtype = "int32" if whole else "float32"
    if isinstance(x, np.ndarray):
        return x.astype(dtype, copy=False)
    return [row.astype(dtype, copy=False) for row in rows]


def _targets(y: Any, lengths: Sequence[int], aligned: bool) -> list[np.ndarray]:
    """Arrays of one dtype with a sequence of targets each."""
    rows = [np.asarray(row) for row in y]
    if len(rows) != len(lengths):
        raise ValueError(f"`x` has {len(lengths)} sequences, and `y` has {len(rows)}.")
    for n, (row, length) in enumerate(zip(rows, lengths)):
        if aligned and len(row) != length:
            raise ValueError(
                f"Row {n} of `y` has shape {row.shape}, and `x` has {length} steps "
                f"there. Give each step one target, or pass aligned=False."
            )
        if row.shape[1:] != rows[0].shape[1:]:
            raise ValueError(
                f"Row {n} of `y` has shape {row.shape}, and row 0 {rows[0].shape}: "
                f"they differ in more than their number of steps."
            )
    # A target without labels is an array of floats in NumPy.
    whole = all(row.dtype.kind in "iub" or not row.size for row in rows)
    dtype = "int32" if whole else "float32"
    return [row.astype(dtype) for row in rows]


def _per_sequence(name: str, values: Any, n: int) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim == 0 or len(values) != n:
        raise ValueError(
            f"`x` has {n} sequences; `{name}` has shape {values.shape}. Give one for "
            f"each sequence."
        )
    return values.astype("float32") if values.dtype == "float64" else values
