"""A model of the steps that come after a window of a series."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnx._numbers import integer
from keras_rnnx.cells._base import arguments
from keras_rnnx.models import _front
from keras_rnnx.models._one_step.layers import refusal


def forecaster(
    horizon: int,
    outputs: int | None = None,
    features: int = 1,
    mode: str = "direct",
    cell: Any = "lstm",
    units: int | list[int] | None = None,
    depth: int | None = None,
    steps: int | None = None,
    masked: bool = True,
    name: str = "forecaster",
    **kwargs: Any,
) -> keras.Model:
    """The values of a series at the steps after a window of it.

    A stack of recurrent layers reads the window. "direct" forecasts all steps at once
    from its last output. "autoregressive" forecasts one, reads its own forecast as the
    next step with the states that it has, and so on, in training too: the loss of a
    late step reaches the forecasts before it.

    Args:
        horizon: number of steps to forecast.
        outputs: number of values of a step to forecast. Default: `features`.
        features: number of features of a step of the window. Default 1.
        mode: "direct" or "autoregressive". Default "direct".
        cell, units, depth: as for `keras_rnnx.models.classifier`.
        steps: number of steps of a window. Default None: any.
        masked: whether steps that are padded with NaN are masked. Default True.
        name: of the model. Default "forecaster".
        **kwargs: further arguments of the stack and its cells. With "autoregressive" a
            dropout mask of a sequence is that of the window, and each forecast draws
            another.

    Returns:
        A model, built and not compiled, from `(batch, steps, features)` to
        `(batch, horizon, outputs)`, float32.

    Raises:
        ValueError: for an argument out of range, one of the stack that the model sets
            itself; with "autoregressive" for `outputs` that are not the features, and
            for a stack that cannot go on step by step (`bidirectional`,
            `go_backwards`, `batch_norm`, `monte_carlo`).

    Example:

    >>> model = keras_rnnx.models.forecaster(
    ...     4, features=2, mode="autoregressive", units=8)
    >>> model(np.ones((3, 24, 2), "float32")).shape
    (3, 4, 2)
    """
    horizon = integer("horizon", horizon, 1)
    features = integer("features", features, 1)
    outputs = features if outputs is None else integer("outputs", outputs, 1)
    arguments.choice("mode", mode, ("direct", "autoregressive"))
    direct = mode == "direct"
    if not direct and outputs != features:
        raise ValueError(
            f"mode='autoregressive' reads its own forecasts, so that they have all "
            f"features of a step: received outputs={outputs} and features={features}. "
            f"Leave `outputs` out, or pass mode='direct'."
        )
    front = kwargs.get("front") if direct else None
    if direct:
        kwargs = {key: value for key, value in kwargs.items() if key != "front"}
    own = {"return_sequences": False, "return_state": not direct}
    stack = _front.stack("forecaster", cell, units, depth, kwargs, **own)
    refused = None if direct else refusal(stack)
    if refused:
        raise ValueError(
            f"mode='autoregressive' runs the stack step by step behind the window, and "
            f"it cannot: {refused}. Or pass mode='direct'."
        )
    window, sequences = _front.sequences(
        "forecaster", features, None, None, steps, masked, name="window"
    )
    if direct:
        values = keras.layers.Dense(horizon * outputs, dtype="float32", name="values")
        shaped = keras.layers.Reshape(
            (horizon, outputs), dtype="float32", name="forecasts"
        )
        found = stack(_front.behind(front, sequences))
        return keras.Model(window, shaped(values(found)), name=name)
    values = keras.layers.Dense(features, dtype="float32", name="values")
    as_step = keras.layers.Reshape((1, features), dtype="float32", name="step")
    found, *states = stack(sequences)
    forecasts = [as_step(values(found))]
    while len(forecasts) < horizon:
        found, *states = stack(forecasts[-1], initial_state=states)
        forecasts.append(as_step(values(found)))
    joined = keras.layers.Concatenate(axis=1, name="forecasts", dtype="float32")
    found = joined(forecasts) if horizon > 1 else forecasts[0]
    return keras.Model(window, found, name=name)
