"""Metrics of label sequences that may differ in length, by the edits between them."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx._numbers import integer
from keras_rnnx.metrics._mask import mask_of


def edit_distance(y_true: Any, y_pred: Any, padding: int = 0) -> Any:
    """The insertions, deletions and substitutions that turn one sequence into another.

    It is the Levenshtein distance (1966), computed along diagonals, so that a single
    loop computes a batch, compiled on every backend.

    Args:
        y_true: labels `(batch, length)`, integers.
        y_pred: labels `(batch, other length)`, integers.
        padding: a sequence ends before the first label of this value. Default 0.

    Returns:
        The distances, int32, `(batch,)`.

    Raises:
        ValueError: for arguments that are not of rank two.

    Example:

    >>> kitten, sitting = [[1, 2, 3, 3, 4, 5]], [[6, 2, 3, 3, 2, 5, 7]]
    >>> ops.convert_to_numpy(keras_rnnx.metrics.edit_distance(kitten, sitting)).tolist()
    [3]
    """
    y_true, y_pred = (
        ops.cast(ops.convert_to_tensor(y), "int32") for y in (y_true, y_pred)
    )
    if len(y_true.shape) != 2 or len(y_pred.shape) != 2:
        raise ValueError(
            f"The edit distance is between labels of shape (batch, length); received "
            f"shapes {tuple(y_true.shape)} and {tuple(y_pred.shape)}."
        )
    end = ops.full_like(y_true[:, :1], padding)
    # With an end label, empty sequences have a label to read too.
    y_true, y_pred = (ops.concatenate([y, end], 1) for y in (y_true, y_pred))
    of_true, of_pred = (_lengths(y, padding) for y in (y_true, y_pred))
    rows, columns = ops.shape(y_true)[1], ops.shape(y_pred)[1]
    row = ops.arange(rows, dtype="int32")
    far = ops.full_like(end, 0) + ops.cast(rows + columns, "int32")

    def shifted(y: Any) -> Any:
        return ops.concatenate([far, y[:, :-1]], 1)

    # Element i of diagonal k is the distance of the first i labels of `y_true` from the
    # first k - i labels of `y_pred`, or `far` if there are no such labels.
    def step(k: Any, carry: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        before_last, last, distances = carry
        read = ops.take(y_pred, ops.clip(k - row - 1, 0, columns - 1), axis=1)
        differ = ops.cast(shifted(y_true) != read, "int32")
        gap = ops.minimum(last, shifted(last)) + 1
        new = ops.minimum(gap, shifted(before_last) + differ)
        new = ops.where(ops.logical_or(row == 0, row == k), k, new)
        here = ops.take_along_axis(new, ops.expand_dims(of_true, 1), axis=1)[:, 0]
        return last, new, ops.where(of_true + of_pred == k, here, distances)

    everywhere = ops.zeros_like(y_true) + far
    zeroth = ops.where(row == 0, 0, everywhere)
    start = everywhere, zeroth, ops.zeros_like(of_true)
    return ops.fori_loop(1, rows + columns - 1, step, start)[2]


def _lengths(y: Any, padding: int) -> Any:
    """The number of labels before the first padding."""
    return ops.sum(ops.cumprod(ops.cast(y != padding, "int32"), axis=1), axis=1)


class _EditMetric(keras.metrics.Metric):
    def __init__(
        self,
        decode: str | None = None,
        padding: int = 0,
        name: str | None = None,
        dtype: str | None = None,
    ):
        super().__init__(name=name, dtype=dtype)
        if decode not in (None, "argmax", "ctc"):
            raise ValueError(
                f'`decode` must be None, "argmax" or "ctc"; received {decode!r}.'
            )
        self.decode = decode
        self.padding = integer("padding", padding, -(2**31))
        self.edits = self.add_variable((), initializer="zeros", name="edits")
        self.count = self.add_variable((), initializer="zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds the sequences of a batch.

        Args:
            y_true: labels `(batch, length)`, padded at their ends.
            y_pred: labels `(batch, other length)`, padded at their ends; with `decode`,
                scores `(batch, time, classes)`.
            sample_weight: None, or weights `(batch,)`.

        Raises:
            ValueError: for shapes that do not fit.
        """
        labels = self._decoded(y_pred)
        y_true = ops.cast(ops.convert_to_tensor(y_true), "int32")
        edits = edit_distance(y_true, labels, self.padding)
        counts = _lengths(y_true, self.padding)
        edits, counts = (
            ops.cast(part, self.dtype) for part in self._parts(edits, counts)
        )
        if sample_weight is not None:
            weights = ops.cast(ops.convert_to_tensor(sample_weight), self.dtype)
            if len(weights.shape) != 1:
                raise ValueError(
                    f"{type(self).__name__} takes a weight for each sequence, "
                    f"(batch,); received shape {tuple(weights.shape)}."
                )
            edits, counts = edits * weights, counts * weights
        self.edits.assign_add(ops.sum(edits))
        self.count.assign_add(ops.sum(counts))

    def _decoded(self, y_pred: Any) -> Any:
        mask = mask_of(y_pred)
        y_pred = ops.convert_to_tensor(y_pred)
        if self.decode is None:
            return y_pred
        if len(y_pred.shape) != 3:
            raise ValueError(
                f"With decode={self.decode!r}, {type(self).__name__} takes scores of "
                f"shape (batch, time, classes); received shape {tuple(y_pred.shape)}."
            )
        best = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        if self.decode == "argmax":
            return best if mask is None else ops.where(mask, best, self.padding)
        steps = ops.ones_like(best) if mask is None else ops.cast(mask, "int32")
        labels, _ = ops.ctc_decode(
            y_pred, ops.sum(steps, axis=1), strategy="greedy", mask_index=self.padding
        )
        labels = ops.cast(labels[0], "int32")
        return ops.where(labels < 0, self.padding, labels)

    def result(self) -> Any:
        """The rate over all sequences so far."""
        return ops.divide_no_nan(self.edits, self.count)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the metric."""
        return {
            **super().get_config(),
            "decode": self.decode,
            "padding": self.padding,
        }


@keras.saving.register_keras_serializable("keras_rnnx")
class TokenErrorRate(_EditMetric):
    """Edits over labels: for phones the phone error rate, for words the word error
    rate.

    Edits and labels are first summed over all sequences. More insertions than labels
    give a rate above one.

    Args:
        decode: None if predictions are labels; "argmax" to take the class with the
            highest score at each step; "ctc" to also drop repetitions and blanks, as
            after `keras.losses.CTC`, whose blank is `padding`. Default None.
        padding: a sequence ends before the first label of this value. Default 0.
        name, dtype: as for any metric. Default name "token_error_rate".

    Raises:
        ValueError: for another `decode`, or shapes that do not fit.

    Example:

    >>> metric = keras_rnnx.metrics.TokenErrorRate()
    >>> metric.update_state(np.array([[1, 2, 3, 0]]), np.array([[1, 3, 0]]))
    >>> round(float(metric.result()), 4)
    0.3333
    """

    def __init__(
        self,
        decode: str | None = None,
        padding: int = 0,
        name: str = "token_error_rate",
        dtype: Any = None,
    ):
        super().__init__(decode, padding, name, dtype)

    def _parts(self, edits: Any, counts: Any) -> tuple[Any, Any]:
        return edits, counts


@keras.saving.register_keras_serializable("keras_rnnx")
class SequenceErrorRate(_EditMetric):
    """The share of sequences that differ: the word error rate for spelled words.

    Args:
        decode, padding: as for `TokenErrorRate`.
        name, dtype: as for any metric. Default name "sequence_error_rate".

    Raises:
        ValueError: as `TokenErrorRate`.

    Example:

    >>> metric = keras_rnnx.metrics.SequenceErrorRate()
    >>> metric.update_state(np.array([[1, 2], [3, 0]]), np.array([[1, 2], [3, 3]]))
    >>> float(metric.result())
    0.5
    """

    def __init__(
        self,
        decode: str | None = None,
        padding: int = 0,
        name: str = "sequence_error_rate",
        dtype: Any = None,
    ):
        super().__init__(decode, padding, name, dtype)

    def _parts(self, edits: Any, counts: Any) -> tuple[Any, Any]:
        return edits > 0, ops.ones_like(counts)
