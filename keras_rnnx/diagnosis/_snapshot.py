"""What a model is before it is measured, and putting it back."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import keras
import numpy as np

from keras_rnnx import _random, _states


@contextlib.contextmanager
def kept(model: keras.Model) -> Iterator[None]:
    """A block that leaves all variables of a model and the random state as they were.

    Those are weights, seeds, states of stateful layers, and metrics.

    Args:
        model: a built model.
    """
    before = [(v, _copy(v)) for v in variables(model)]
    metrics = {id(v) for v in model.metrics_variables}
    python, others = random.getstate(), _random.get_state()
    # Cures contain initializers, which draw a seed when they are made.
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(python)
        _random.set_state(others)
        for variable, value in before:
            if _copy(variable).tobytes() != value.tobytes():
                variable.assign(value)
        # A model with several outputs makes a metric for each in its first call.
        for metric in model.metrics:
            if any(id(v) not in metrics for v in metric.variables):
                metric.reset_state()


def variables(model: keras.Layer) -> list[keras.Variable]:
    """All variables that calls of a model or layer read or write, each once."""
    found = [
        *model.variables,
        *_states.variables(model),
        *model.metrics_variables,
    ]
    return list({id(variable): variable for variable in found}.values())


def _copy(variable: keras.Variable) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(variable.value))
