"""Metrics of forecasts."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnx._numbers import integer
from keras_rnnx.metrics.steps import StepMetric


def seasonal_naive_error(series: Any, season: int = 1) -> np.ndarray:
    """The mean absolute error of forecasting a series by its values a season before.

    It is the scale of `MeanAbsoluteScaledError`. Compute it from the training part of a
    series.

    Args:
        series: values `(time,)` or `(time, features)`.
        season: number of steps of a season; 1 forecasts by the last value. Default 1.

    Returns:
        The error, a scalar, or one for each feature.

    Raises:
        ValueError: if the series is not longer than a season, or never differs from
            itself a season before, so that there is no scale.

    Example:

    >>> float(keras_rnnx.metrics.seasonal_naive_error([1, 2, 4, 7]))
    2.0
    """
    series = np.asarray(series, "float64")
    season = integer("season", season, 1)
    if series.ndim not in (1, 2) or len(series) <= season:
        raise ValueError(
            f"`series` must be (time,) or (time, features) with more steps than "
            f"`season={season}`; received shape {series.shape}."
        )
    errors = np.abs(series[season:] - series[:-season]).mean(axis=0)
    if not np.all(errors > 0):
        where = f" in feature {int(np.argmin(errors > 0))}" if errors.ndim else ""
        raise ValueError(
            f"`series` equals itself {season} step(s) before{where}, or contains NaN: "
            f"there is no error to compare others with."
        )
    return errors


class _Forecast(StepMetric):
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds the steps of a batch; see `StepMetric.update_state`."""
        super().update_state(ops.cast(y_true, self.dtype), y_pred, sample_weight)


@keras.saving.register_keras_serializable("keras_rnnx")
class MeanAbsoluteScaledError(_Forecast):
    """MASE: the mean absolute error over that of a naive forecast of training data.

    Below one a model is better than repeating the series (Hyndman & Koehler, 2006,
    "Another look at measures of forecast accuracy").

    Args:
        scale: the error of the naive forecast, a number, or one for each feature: see
            `seasonal_naive_error`.
        name, dtype: as for any metric. Default name "mase".

    Raises:
        ValueError: if a scale is not positive, or targets and predictions differ in
            shape.

    Example:

    >>> metric = keras_rnnx.metrics.MeanAbsoluteScaledError(scale=2.0)
    >>> metric.update_state(np.array([[1.0, 2.0]]), np.array([[2.0, 5.0]]))
    >>> float(metric.result())
    1.0
    """

    def __init__(self, scale: Any, name: str = "mase", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.scale = np.asarray(scale, "float64").tolist()
        if not np.all(np.asarray(self.scale) > 0):
            raise ValueError(
                f"`scale` must be positive; received {scale!r}. See "
                f"keras_rnnx.metrics.seasonal_naive_error."
            )

    def parts(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """The scaled errors, and ones."""
        errors = ops.abs(y_true - ops.cast(y_pred, self.dtype))
        errors = errors / ops.convert_to_tensor(self.scale, dtype=self.dtype)
        return errors, ops.ones_like(errors)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the metric."""
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable("keras_rnnx")
class SymmetricMeanAbsolutePercentageError(_Forecast):
    """sMAPE: the mean of `200 |y - f| / (|y| + |f|)`, from 0 to 200 percent.

    Where both are zero the error is zero (Makridakis et al., 2020, "The M4
    Competition").

    Args:
        name, dtype: as for any metric. Default name "smape".

    Raises:
        ValueError: if targets and predictions differ in shape.

    Example:

    >>> metric = keras_rnnx.metrics.SymmetricMeanAbsolutePercentageError()
    >>> metric.update_state(np.array([[1.0, 0.0]]), np.array([[3.0, 0.0]]))
    >>> float(metric.result())
    50.0
    """

    def __init__(self, name: str = "smape", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)

    def parts(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """The errors in percent, and ones."""
        y_pred = ops.cast(y_pred, self.dtype)
        sizes = ops.abs(y_true) + ops.abs(y_pred)
        errors = ops.divide_no_nan(200.0 * ops.abs(y_true - y_pred), sizes)
        return errors, ops.ones_like(errors)
