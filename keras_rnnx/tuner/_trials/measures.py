"""Measures a model before it is trained."""

from __future__ import annotations

import math
import statistics
import time
from typing import Any

import keras
import numpy as np

RUNS = 5


def step_ms(model: keras.Model, batch: tuple[Any, ...]) -> float:
    """Milliseconds of a training step, the median of `RUNS` after a first one.

    The measurement trains the model.

    Args:
        model: a compiled model.
        batch: inputs, targets and possibly weights.
    """
    times = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        model.train_on_batch(*batch)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[1:])


def latency_ms(model: keras.Model, batch: tuple[Any, ...]) -> float:
    """Milliseconds of one step of one sequence, the median of `RUNS` after a first one.

    It times the step function of the model (`keras_rnnx.models.stepper`).

    Args:
        model: a model.
        batch: the inputs come first; the first sequence of them is used.

    Returns:
        The time; infinity for a model that can't run step by step.
    """
    # Imported here, since `models` imports modules that a search does not need.
    from keras_rnnx.models import stepper

    try:
        steps = stepper(model)
    except ValueError:
        return math.inf
    sample = keras.tree.map_structure(lambda x: np.asarray(x)[:1, 0], batch[0])
    states, times = steps.init(), []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        outputs, states = steps.step(sample, states)
        keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[1:])
