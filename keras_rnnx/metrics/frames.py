"""Metrics of frames in which several labels, such as notes, may be on."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx._numbers import number
from keras_rnnx.metrics.steps import StepMetric


class _FrameMetric(StepMetric):
    _axes_of_step = 1


@keras.saving.register_keras_serializable("keras_rnnx")
class FrameNLL(_FrameMetric):
    """The negative log-likelihood of a frame in nats: the binary cross-entropies of its
    labels, summed, and averaged over the valid frames.

    It is the usual metric of models of polyphonic music (Boulanger-Lewandowski et al.,
    2012, arXiv:1206.6392).

    Args:
        from_logits: whether predictions are logits, not probabilities. Default False.
        name, dtype: as for any metric. Default name "frame_nll".

    Raises:
        ValueError: if targets and predictions are not both `(batch, time, labels)`.

    Example:

    >>> metric = keras_rnnx.metrics.FrameNLL()
    >>> metric.update_state(np.ones((1, 5, 88)), np.full((1, 5, 88), 0.5))
    >>> round(float(metric.result()) / 88, 4)
    0.6931
    """

    def __init__(
        self, from_logits: bool = False, name: str = "frame_nll", dtype: Any = None
    ):
        super().__init__(name=name, dtype=dtype)
        self.from_logits = bool(from_logits)

    def parts(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """The cross-entropies of each frame, summed, and ones."""
        y_true, y_pred = ops.cast(y_true, self.dtype), ops.cast(y_pred, self.dtype)
        each = ops.binary_crossentropy(y_true, y_pred, from_logits=self.from_logits)
        entropies = ops.sum(each, axis=-1)
        return entropies, ops.ones_like(entropies)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the metric."""
        return {**super().get_config(), "from_logits": self.from_logits}


@keras.saving.register_keras_serializable("keras_rnnx")
class FrameAccuracy(_FrameMetric):
    """The right labels over all labels that are on in targets or predictions:
    TP / (TP + FP + FN), each first summed over all valid frames.

    Correctly predicted silence does not count (Bay et al., 2009, "Evaluation of
    multiple-F0 estimation and tracking systems").

    Args:
        threshold: the smallest prediction of a label that is on; 0 for logits. Default
            0.5.
        name, dtype: as for any metric. Default name "frame_accuracy".

    Raises:
        ValueError: if targets and predictions are not both `(batch, time, labels)`, or
            if `threshold` is not a number.

    Example:

    >>> metric = keras_rnnx.metrics.FrameAccuracy()
    >>> notes, predicted = [[[1, 1, 0, 0]]], [[[0.9, 0.2, 0.7, 0.1]]]
    >>> metric.update_state(np.array(notes), np.array(predicted))
    >>> round(float(metric.result()), 4)
    0.3333
    """

    def __init__(
        self, threshold: float = 0.5, name: str = "frame_accuracy", dtype: Any = None
    ):
        super().__init__(name=name, dtype=dtype)
        self.threshold = number("threshold", threshold)

    def parts(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """The number of right labels in each frame, and of labels that are on."""
        true, predicted = y_true > 0.5, y_pred >= self.threshold
        return (
            ops.sum(ops.cast(ops.logical_and(true, predicted), self.dtype), axis=-1),
            ops.sum(ops.cast(ops.logical_or(true, predicted), self.dtype), axis=-1),
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments of the metric."""
        return {**super().get_config(), "threshold": self.threshold}
