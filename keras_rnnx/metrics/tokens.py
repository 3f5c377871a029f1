"""Metrics of predictions of a class at each step."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_rnnx.metrics.steps import StepMetric, _fits


class _TokenMetric(StepMetric):
    """Base of metrics of integer targets and the scores of all classes."""

    _axes_of_step = 1

    def __init__(
        self,
        ignore_class: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.ignore_class = ignore_class

    def _counted(self, y_true: Any) -> Any:
        return None if self.ignore_class is None else y_true != self.ignore_class

    def _fitted(self, y_true: Any, y_pred: Any) -> Any:
        shape, wanted = tuple(y_true.shape), tuple(y_pred.shape[:-1])
        if shape == (*wanted, 1):
            y_true, shape = y_true[..., 0], wanted
        if not _fits(shape, wanted):
            raise ValueError(
                f"{type(self).__name__} takes integer targets of shape (batch, time) "
                f"and predictions of shape (batch, time, classes); received targets of "
                f"shape {shape} and predictions of shape {tuple(y_pred.shape)}."
            )
        return ops.cast(y_true, "int32")

    def get_config(self) -> dict[str, Any]:
        """The arguments of the metric."""
        return {**super().get_config(), "ignore_class": self.ignore_class}


class _CrossEntropy(_TokenMetric):
    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ):
        super().__init__(ignore_class, name, dtype)
        self.from_logits = bool(from_logits)

    def parts(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """The cross-entropy of each step in nats, and ones."""
        y_pred = ops.cast(y_pred, self.dtype)
        entropies = ops.sparse_categorical_crossentropy(
            y_true, y_pred, from_logits=self.from_logits
        )
        return entropies, ops.ones_like(entropies)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the metric."""
        return {**super().get_config(), "from_logits": self.from_logits}


@keras.saving.register_keras_serializable("keras_rnnx")
class Perplexity(_CrossEntropy):
    """The exponential of the mean cross-entropy of a step, for language models.

    Args:
        from_logits: whether predictions are logits, not probabilities. Default False.
        ignore_class: None, or a target that does not count, as that of padding.
            Default None.
        name, dtype: as for any metric. Default name "perplexity".

    Raises:
        ValueError: for targets that are not `(batch, time)`, or predictions that are
            not `(batch, time, classes)`.

    Example:

    >>> metric = keras_rnnx.metrics.Perplexity()
    >>> metric.update_state(np.array([[0, 1]]), np.array([[[0.5, 0.5], [0.5, 0.5]]]))
    >>> round(float(metric.result()), 4)
    2.0
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        name: str = "perplexity",
        dtype: Any = None,
    ):
        super().__init__(from_logits, ignore_class, name, dtype)

    def finish(self, mean: Any) -> Any:
        """The exponential of the mean."""
        return ops.exp(mean)


@keras.saving.register_keras_serializable("keras_rnnx")
class BitsPerCharacter(_CrossEntropy):
    """The mean cross-entropy of a step in bits, for models of characters.

    Args:
        from_logits: whether predictions are logits, not probabilities. Default False.
        ignore_class: None, or a target that does not count, as that of padding.
            Default None.
        name, dtype: as for any metric. Default name "bits_per_character".

    Raises:
        ValueError: as `Perplexity`.

    Example:

    >>> metric = keras_rnnx.metrics.BitsPerCharacter()
    >>> metric.update_state(np.array([[0, 1]]), np.full((1, 2, 4), 0.25))
    >>> round(float(metric.result()), 4)
    2.0
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        name: str = "bits_per_character",
        dtype: Any = None,
    ):
        super().__init__(from_logits, ignore_class, name, dtype)

    def finish(self, mean: Any) -> Any:
        """The mean in bits."""
        return mean / math.log(2.0)


@keras.saving.register_keras_serializable("keras_rnnx")
class TokenAccuracy(_TokenMetric):
    """The share of valid steps whose class with the highest score is the target.

    Args:
        ignore_class: None, or a target that does not count, as that of padding.
            Default None.
        name, dtype: as for any metric. Default name "token_accuracy".

    Raises:
        ValueError: as `Perplexity`.

    Example:

    >>> metric = keras_rnnx.metrics.TokenAccuracy(ignore_class=-1)
    >>> scores = np.array([[[2, 1], [1, 2], [1, 2]]])
    >>> metric.update_state(np.array([[0, 0, -1]]), scores)
    >>> float(metric.result())
    0.5
    """

    def __init__(
        self,
        ignore_class: int | None = None,
        name: str = "token_accuracy",
        dtype: Any = None,
    ):
        super().__init__(ignore_class, name, dtype)

    def parts(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Whether each step is right, and ones."""
        right = ops.cast(ops.argmax(y_pred, axis=-1), "int32") == y_true
        return right, ops.ones_like(y_true)
