"""Chaotic series to forecast."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_rnnx._numbers import integer

# Steps left out at the start, until a series is on its attractor.
TRANSIENT = 500


def mackey_glass(
    random: np.random.Generator,
    size: int,
    length: int,
    horizon: int = 15,
    delay: int = 17,
) -> tuple[np.ndarray, np.ndarray]:
    """Series of Mackey & Glass 1977, to forecast.

    dx/dt = 0.2 x(t - delay) / (1 + x(t - delay)^10) - 0.1 x(t), by Runge & Kutta in
    steps of 0.1 with the delayed value held between them, one value a unit of time. The
    past that a series starts from is drawn. A delay of 17 gives mild chaos, 30 more of
    it. Forecast 15 steps ahead in Voelker, Kajic & Eliasmith 2019.

    Args:
        random: the generator to draw from.
        size: number of series.
        length: number of steps.
        horizon: how many steps ahead the target lies. Default 15.
        delay: the delay, in steps. Default 17.

    Returns:
        Series and targets, float32 `(size, length, 1)`: the target at step `t` is the
        value at `t + horizon`.

    Raises:
        ValueError: if an argument is not an integer, or too small.

    Example:

    >>> x, y = keras_rnnx.datasets.drawn.mackey_glass(
    ...     np.random.default_rng(0), 2, 100, horizon=10
    ... )
    >>> x.shape, bool(np.all(x[:, 10:] == y[:, :-10]))
    ((2, 100, 1), True)
    """
    _check(size, length, horizon)
    integer("delay", delay, least=1)
    parts = 10
    past = random.uniform(0.5, 1.3, (delay * parts + 1, size))

    def series(steps: int) -> np.ndarray:
        values = np.empty((steps + 1, size, 1))
        values[0, :, 0] = x = past[-1]
        for i in range(steps * parts):
            # The oldest value in this ring is the delayed one; the new one follows it.
            oldest = i % len(past)
            delayed = past[oldest]
            gain = 0.2 * delayed / (1 + delayed**10)

            def slope(x: np.ndarray, gain: np.ndarray = gain) -> np.ndarray:
                return gain - 0.1 * x

            x = _runge_kutta(slope, x, 1 / parts)
            past[oldest] = x
            if (i + 1) % parts == 0:
                values[(i + 1) // parts, :, 0] = x
        return values

    return _windows(series, length, horizon)


def lorenz(
    random: np.random.Generator, size: int, length: int, horizon: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Trajectories of Lorenz 1963, to forecast.

    dx/dt = 10 (y - x), dy/dt = x (28 - z) - y, dz/dt = x y - 8/3 z, by Runge & Kutta in
    steps of 0.02, each divided by about its deviation (8, 9 and 8.6), z around its mean
    of 23.5. Starts are drawn.

    Args:
        random: the generator to draw from.
        size: number of trajectories.
        length: number of steps.
        horizon: how many steps ahead the target lies. Default 1.

    Returns:
        Trajectories and targets, float32 `(size, length, 3)`: the target at step `t` is
        the point at `t + horizon`.

    Raises:
        ValueError: if an argument is not an integer, or too small.

    Example:

    >>> x, y = keras_rnnx.datasets.drawn.lorenz(np.random.default_rng(0), 2, 100)
    >>> x.shape, bool(np.all(x[:, 1:] == y[:, :-1]))
    ((2, 100, 3), True)
    """
    _check(size, length, horizon)
    start = random.normal([0, 0, 25], [8, 9, 8], (size, 3))

    def slope(point: np.ndarray) -> np.ndarray:
        x, y, z = point.T
        return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=-1)

    def trajectories(steps: int) -> np.ndarray:
        points = np.empty((steps + 1, size, 3))
        points[0] = start
        for i in range(steps):
            points[i + 1] = _runge_kutta(slope, points[i], 0.02)
        return (points - [0, 0, 23.5]) / [8, 9, 8.6]

    return _windows(trajectories, length, horizon)


def _runge_kutta(
    slope: Callable[[np.ndarray], np.ndarray], x: np.ndarray, step: float
) -> np.ndarray:
    first = slope(x)
    second = slope(x + step / 2 * first)
    third = slope(x + step / 2 * second)
    fourth = slope(x + step * third)
    return x + step / 6 * (first + 2 * second + 2 * third + fourth)


def _check(size: int, length: int, horizon: int) -> None:
    integer("size", size, least=1)
    integer("length", length, least=1)
    integer("horizon", horizon, least=1)


def _windows(
    series: Callable[[int], np.ndarray], length: int, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """Values and those `horizon` steps later, from what gives the first `n` steps."""
    values = series(TRANSIENT + length + horizon)[TRANSIENT + 1 :]
    values = values.swapaxes(0, 1).astype("float32")
    return values[:, :length], values[:, horizon:]
