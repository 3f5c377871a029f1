"""Pairs of sequences in padded batches, for an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_rnnx._numbers import integer
from keras_rnnx.datasets._batches.padded import PaddedBatches


class PairedBatches(PaddedBatches):
    """Pairs of sequences in padded batches, for an encoder and a decoder.

    The decoder learns to write a target token after token, and reads the token before
    in training (teacher forcing). So a batch is `((x, inputs), targets)`: `inputs` are
    the target sequences with `start` before them, `targets` the same ones with `end`
    behind them. Both are padded with 0.

    Args:
        x: source sequences, as for `PaddedBatches`.
        y: target sequences, a list of arrays of integers `(time,)` without `start` and
            `end`, none of them 0.
        batch_size: pairs in a batch. Default 32.
        start: token that the decoder reads first. Default 1.
        end: token that it is to write last. Default 2.
        **kwargs: other arguments of `PaddedBatches`: `shuffle`, `seed`, ...

    Raises:
        ValueError: where `PaddedBatches` raises it, and for targets that are not
            integers, or hold the token of padding, `start` or `end`. The message says
            which row.

    Example:

    >>> batches = keras_rnnx.datasets.PairedBatches(
    ...     [[5, 6, 7], [8]], [[3, 4], [9]], batch_size=2, shuffle=False)
    >>> (x, inputs), targets = batches[0]
    >>> inputs.tolist(), targets.tolist()
    ([[1, 3, 4], [1, 9, 0]], [[3, 4, 2], [9, 2, 0]])
    """

    def __init__(
        self,
        x: Sequence[Any],
        y: Sequence[Any],
        batch_size: int = 32,
        start: int = 1,
        end: int = 2,
        **kwargs: Any,
    ):
        self.start = integer("start", start, 1)
        self.end = integer("end", end, 1)
        if self.start == self.end:
            raise ValueError(f"`start` and `end` must differ, received {start} twice.")
        targets = [self._ended(n, row) for n, row in enumerate(y)]
        super().__init__(x, targets, batch_size, aligned=False, **kwargs)

    def _ended(self, n: int, row: Any) -> np.ndarray:
        row = np.asarray(row)
        if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
            raise ValueError(
                f"Row {n} of `y` must hold integers (time,); it has shape {row.shape} "
                f"and dtype {row.dtype}."
            )
        held = {0: "padding", self.start: "`start`", self.end: "`end`"}
        for step in np.flatnonzero(np.isin(row, list(held)))[:1]:
            raise ValueError(
                f"Row {n} of `y` holds {row[step]} at step {step}, which is the token "
                f"of {held[int(row[step])]}."
            )
        return np.append(row, self.end).astype("int32")

    def __getitem__(self, index: int) -> tuple:
        """A batch: `((x, inputs), targets)`, with weights if there are any."""
        x, targets, *weights = super().__getitem__(index)
        inputs = np.full_like(targets, self.start)
        inputs[:, 1:] = np.where(targets[:, :-1] == self.end, 0, targets[:, :-1])
        return ((x, inputs), targets, *weights)
