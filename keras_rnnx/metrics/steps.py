"""The base of metrics that are means over the steps of all sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_rnnx.metrics._mask import mask_of


class StepMetric(keras.metrics.Metric):
    """Base of metrics that give every valid step the same weight.

    Metrics such as `keras.metrics.Mean` average a batch over its padded length first.
    So a token in a batch of short sequences counts more than one in a batch of long
    sequences, and the result depends on how sequences are batched. This class divides
    two sums over all valid steps of all batches.

    A step is valid if the mask that Keras attaches to `y_pred` says so, and if its
    `sample_weight` is not zero. Other steps are not read: they may contain NaN and
    labels out of range. In `fit` on JAX, Keras passes no mask to metrics of the
    training data (in validation and `evaluate` it does): pass weights there, or
    `ignore_class` to metrics that have it.

    A subclass defines `parts(y_true, y_pred)`. `finish(mean)` may map the quotient of
    the sums to the result.

    Example:

    >>> @keras.saving.register_keras_serializable()
    ... class SquaredError(StepMetric):
    ...     def parts(self, y_true, y_pred):
    ...         errors = ops.square(y_true - y_pred)
    ...         return errors, ops.ones_like(errors)
    >>> metric = SquaredError()
    >>> metric.update_state(np.zeros((1, 1)), np.full((1, 1), 2.0))
    >>> metric.update_state(np.zeros((1, 3)), np.zeros((1, 3)))
    >>> float(metric.result())
    1.0
    """

    # The number of last axes of `y_pred` that belong to one step, such as its classes.
    _axes_of_step = 0

    def __init__(self, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), initializer="zeros", name="total")
        self.count = self.add_variable((), initializer="zeros", name="count")

    def parts(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """The terms of each step in both sums, two tensors of one shape.

        Args:
            y_true: targets, with zeros in steps that do not count.
            y_pred: predictions.
        """
        raise NotImplementedError

    def finish(self, mean: Any) -> Any:
        """The result, from the quotient of the sums. Default: the quotient."""
        return mean

    def _counted(self, y_true: Any) -> Any:
        """The steps that count by their targets; None for all."""
        return None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds the steps of a batch.

        Args:
            y_true: targets, `(batch, time)` or `(batch, time, features)`.
            y_pred: predictions, with the mask that Keras attaches, if there is one.
            sample_weight: None, or weights `(batch,)` or `(batch, time)`.

        Raises:
            ValueError: for targets or weights whose shape does not fit the predictions.
        """
        mask = mask_of(y_pred)
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        y_true = self._fitted(y_true, y_pred)
        rank = len(y_pred.shape) - self._axes_of_step
        weights = ops.ones_like(ops.cast(y_true, self.dtype))
        if len(y_true.shape) > rank:
            weights = weights[..., 0]
        for factor in (mask, sample_weight, self._counted(y_true)):
            if factor is not None:
                factor = ops.cast(ops.convert_to_tensor(factor), self.dtype)
                weights = weights * _expanded(self._weighing(factor, rank), rank)
        valid = weights != 0
        there = _expanded(valid, len(y_true.shape))
        y_true = ops.where(there, y_true, ops.zeros_like(y_true))
        for sum_, part in zip((self.total, self.count), self.parts(y_true, y_pred)):
            part = ops.cast(part, self.dtype)
            part = ops.where(valid, part, ops.zeros_like(part))
            sum_.assign_add(ops.sum(part * weights))

    def _weighing(self, weights: Any, rank: int) -> Any:
        """Weights of at most this rank, without a further last axis of size one."""
        if len(weights.shape) == rank + 1 and weights.shape[-1] == 1:
            return weights[..., 0]
        if len(weights.shape) > rank:
            raise ValueError(
                f"{type(self).__name__} takes weights of sequences or of steps, of at "
                f"most {rank} axes here; received shape {tuple(weights.shape)}."
            )
        return weights

    def _fitted(self, y_true: Any, y_pred: Any) -> Any:
        """Targets of the rank that the metric reads; raises a ValueError if not."""
        wanted = tuple(y_pred.shape)
        if len(y_true.shape) == len(wanted) and _fits(y_true.shape, wanted):
            return y_true
        raise ValueError(
            f"{type(self).__name__} compares targets and predictions of one shape; "
            f"received targets of shape {tuple(y_true.shape)} and predictions of shape "
            f"{wanted}."
        )

    def result(self) -> Any:
        """The metric over all steps so far; without steps the quotient is 0."""
        return self.finish(ops.divide_no_nan(self.total, self.count))


def _fits(shape: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(
        None in pair or pair[0] == pair[1] for pair in zip(shape, wanted)
    )


def _expanded(tensor: Any, rank: int) -> Any:
    """`tensor` with further axes of size one at the end."""
    for _ in range(rank - len(tensor.shape)):
        tensor = ops.expand_dims(tensor, -1)
    return tensor
