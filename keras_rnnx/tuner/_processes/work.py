"""The data and functions that a worker needs, and how they are sent to it."""

from __future__ import annotations

import dataclasses
import io
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from keras_rnnx.cells.registry import lookup
from keras_rnnx.tuner._trials.data import SearchData
from keras_rnnx.tuner._trials.tuner import SearchTuner
from keras_rnnx.tuner.errors import SearchError


@dataclasses.dataclass
class Work:
    """The data and functions that a worker needs to run trials.

    Attributes:
        hypermodel: the hypermodel.
        data: the data that trials train on.
        epochs: largest number of epochs of a trial.
        directory: of the search.
        objective: the objective.
        callbacks: a function that makes the user's callbacks.
        measures: names of the values to measure before a model is trained.
    """

    hypermodel: keras_tuner.HyperModel
    data: SearchData
    epochs: int
    directory: Path
    objective: keras_tuner.Objective
    callbacks: Callable[[], list[keras.callbacks.Callback]] = list
    measures: tuple[str, ...] = ()

    def tuner(
        self,
        oracle: keras_tuner.Oracle,
        leave: Callable[[int], None] = lambda trials: None,
    ) -> SearchTuner:
        """The tuner of an oracle."""
        return SearchTuner(
            oracle,
            self.hypermodel,
            self.data,
            self.epochs,
            self.directory,
            self.callbacks,
            self.measures,
            leave,
        )


_OF_KERAS = (
    keras.metrics.Metric,
    keras.losses.Loss,
    keras.regularizers.Regularizer,
    keras.initializers.Initializer,
    keras.constraints.Constraint,
)


class _Pickler(pickle.Pickler):
    """Pickles Keras objects as their configs, since metrics have variables."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, _OF_KERAS):
            config = keras.saving.serialize_keras_object(value)
            return keras.saving.deserialize_keras_object, (config,)
        return NotImplemented


def packed(work: Work) -> bytes:
    """`work` as bytes, to send to another process.

    Raises:
        SearchError: if a part of it can't be sent.
    """
    file = io.BytesIO()
    try:
        _Pickler(file).dump(work)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise SearchError(
            f"Workers need the data and the functions of a search, but these can't be "
            f"sent to another process: {error}. Define functions with `def` in a "
            f"module, or leave `workers` out."
        ) from error
    return file.getvalue()


def modules(work: Work) -> list[tuple[str, str]]:
    """Modules of the user that a worker must import, for instance to register cells."""
    owners = [type(work.hypermodel), type(work.data), work.callbacks]
    owners += [lookup(cell) for cell in getattr(work.hypermodel, "cells", ())]
    owners.append(getattr(work.hypermodel, "front", None))
    owners += [type(metric) for metric in getattr(work.hypermodel, "metrics", ())]
    owners.append(type(getattr(work.hypermodel, "loss", None)))
    names = {getattr(owner, "__module__", None) for owner in owners}
    result = []
    for name in sorted(filter(None, names)):
        path = getattr(sys.modules.get(name), "__file__", None)
        ours = name.partition(".")[0] in ("keras_rnnx", "keras_tuner", "keras")
        if path and not ours and name not in ("__main__", "builtins"):
            result.append((name, path))
    return result
