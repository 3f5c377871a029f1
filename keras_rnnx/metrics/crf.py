"""The accuracy of the best path through a linear chain."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx import _chains
from keras_rnnx.metrics.steps import StepMetric, _expanded


@keras.saving.register_keras_serializable("keras_rnnx")
class CRFAccuracy(StepMetric):
    """The share of valid steps whose class on the best path is the target.

    For models that end in `keras_rnnx.layers.CRF`, whose output shows which steps are
    masked: no Keras mask is needed, not even in `fit` on JAX.

    Args:
        name, dtype: as for any metric. Default name "crf_accuracy".

    Raises:
        ValueError: for predictions that are not `(batch, time, classes, classes)`, and
            for targets that are not `(batch, time)`.

    Example:

    >>> metric = keras_rnnx.metrics.CRFAccuracy()
    >>> scores = keras_rnnx.layers.CRF()(np.array([[[2.0, 1.0], [1.0, 2.0]]]))
    >>> metric.update_state(np.array([[0, 0]]), scores)
    >>> float(metric.result())
    0.5
    """

    def __init__(self, name: str = "crf_accuracy", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds the steps of a batch.

        Args:
            y_true: classes `(batch, time)`.
            y_pred: `(batch, time, classes, classes)`.
            sample_weight: None, or weights `(batch,)` or `(batch, time)`.
        """
        path = _chains.viterbi(y_pred)
        weights = ops.cast(path >= 0, self.dtype)
        if sample_weight is not None:
            sample_weights = ops.cast(ops.convert_to_tensor(sample_weight), self.dtype)
            weights = weights * _expanded(self._weighing(sample_weights, 2), 2)
        y_true = ops.convert_to_tensor(y_true)
        if len(y_true.shape) == 3 and y_true.shape[-1] == 1:
            y_true = y_true[..., 0]
        super().update_state(ops.cast(y_true, "int32"), path, weights)

    def parts(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Whether each step is right, and ones."""
        return y_true == y_pred, ops.ones_like(y_true)
