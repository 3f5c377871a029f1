"""Windows of a long series, to forecast it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_rnnx import metrics
from keras_rnnx._errors import unknown
from keras_rnnx._numbers import integer
from keras_rnnx.datasets._making.splitting import Split, sizes

SCALINGS = ("standard", None)


class Scaling(NamedTuple):
    """How a series was scaled: `(values - mean) / deviation`, by column.

    Attributes:
        mean: of each column, in the part for training.
        deviation: standard deviation of each column there.
        targets: the columns that are forecast.
    """

    mean: np.ndarray
    deviation: np.ndarray
    targets: tuple[int, ...]

    def original(self, forecasts: Any) -> np.ndarray:
        """Forecasts `(..., outputs)` in the units of the series."""
        columns = list(self.targets)
        return np.asarray(forecasts) * self.deviation[columns] + self.mean[columns]


def fields(
    values: Any,
    window: int,
    horizon: int,
    stride: int,
    targets: Any,
    validation: Any,
    test: Any,
    scale: str | None,
    season: int,
) -> dict[str, Any]:
    """The attributes of a task of forecasting; see `Task.from_series`."""
    values, names = _table(values)
    window, horizon = integer("window", window, 1), integer("horizon", horizon, 1)
    stride, season = integer("stride", stride, 1), integer("season", season, 1)
    if scale not in SCALINGS:
        raise unknown("scale", str(scale), map(str, SCALINGS))
    columns = _columns(targets, names, values.shape[1])
    counts = sizes(len(values), {"validation": validation, "test": test})
    starts = np.cumsum([0, *counts])
    _check_lengths(counts, window, horizon)
    # Of the part for training alone: a forecast doesn't know what comes later.
    learned = values[: counts[0]]
    mean, deviation = np.zeros(values.shape[1]), np.ones(values.shape[1])
    if scale == "standard":
        mean, deviation = learned.mean(axis=0), learned.std(axis=0)
        # A column that never changes is moved to 0, and not scaled.
        deviation = np.where(deviation > 0, deviation, 1.0)
    values = ((values - mean) / deviation).astype("float32")
    splits = [
        _windows(values, columns, begin, end, window, horizon, stride)
        for begin, end in zip(starts, starts[1:])
    ]
    naive = metrics.seasonal_naive_error(
        values[: counts[0], columns], min(season, counts[0] - 1)
    )
    scaled = metrics.MeanAbsoluteScaledError(np.broadcast_to(naive, len(columns)))
    return {
        **dict(zip(("train", "validation", "test"), splits)),
        "metrics": ("mean_absolute_error", scaled),
        "scaling": Scaling(mean, deviation, tuple(columns)),
    }


def _table(values: Any) -> tuple[np.ndarray, list[str] | None]:
    names = None
    if hasattr(values, "columns"):
        names, values = [str(name) for name in values.columns], values.to_numpy()
    values = np.asarray(values)
    if values.dtype.kind not in "iufb" or values.ndim not in (1, 2):
        raise ValueError(
            f"`values` must be numbers (time,) or (time, features), received shape "
            f"{values.shape} and dtype {values.dtype}."
        )
    values = values.astype("float64").reshape(len(values), -1)
    if not np.all(np.isfinite(values)):
        row, column = np.argwhere(~np.isfinite(values))[0]
        name = repr(names[column]) if names else column
        raise ValueError(
            f"`values` holds {values[row, column]} in row {row}, column {name}. Fill "
            f"gaps first: a forecast can't tell them from data."
        )
    return values, names


def _columns(targets: Any, names: list[str] | None, width: int) -> list[int]:
    if targets is None:
        return list(range(width))
    if isinstance(targets, (str, int)):
        targets = [targets]
    columns = []
    for target in targets:
        if names is not None and isinstance(target, str):
            if target not in names:
                raise unknown("column", target, names)
            target = names.index(target)
        column = integer("targets", target, 0)
        if column >= width:
            raise ValueError(f"`targets` names column {column} of {width}, from 0.")
        columns.append(column)
    if not columns or len(set(columns)) < len(columns):
        raise ValueError(f"`targets` must be distinct columns, received {targets!r}.")
    return columns


def _check_lengths(counts: Sequence[int], window: int, horizon: int) -> None:
    if counts[0] < window + horizon:
        raise ValueError(
            f"window={window} and horizon={horizon} take {window + horizon} steps, and "
            f"the part for training has {counts[0]}."
        )
    for name, count in zip(("validation", "test"), counts[1:]):
        if count < horizon:
            raise ValueError(
                f"horizon={horizon} is longer than the part for {name}, which has "
                f"{count} steps."
            )


def _windows(
    values: np.ndarray,
    columns: list[int],
    begin: int,
    end: int,
    window: int,
    horizon: int,
    stride: int,
) -> Split:
    """All windows whose targets lie in `values[begin:end]`.

    The steps that a model reads may lie before: when it forecasts, it knows the past.
    """
    first = max(begin, window)
    series = values[first - window : end]
    view = np.lib.stride_tricks.sliding_window_view(series, window + horizon, axis=0)
    view = np.swapaxes(view, 1, 2)[::stride]
    return Split(view[:, :window], np.ascontiguousarray(view[:, window:, columns]))
