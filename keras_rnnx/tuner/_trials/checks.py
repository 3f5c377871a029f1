"""Checks before the first trial."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner
import numpy as np

from keras_rnnx.tuner._state.oracle import ATTEMPT
from keras_rnnx.tuner._state.samplers import defaults
from keras_rnnx.tuner.errors import SearchError, described
from keras_rnnx.tuner.hypermodel import HyperRNN


def check_before(tuner: Any, work: Any) -> None:
    """Makes the model of the default hyperparameters, and evaluates it on a batch.

    Args:
        tuner: the tuner.
        work: the data and functions of its trials.

    Raises:
        SearchError: if that fails, if labels are out of range, or if the model does not
            log the objective.
    """
    hp = keras_tuner.HyperParameters()
    hp.values = {**defaults(tuner.oracle.get_space()), ATTEMPT: 1}
    settings = work.data.settings(work.hypermodel, hp)
    batch = work.data.batch(settings)
    _check_labels(work.hypermodel, batch)
    try:
        model = tuner.build(hp)
        # Compiling is not worth it for one batch.
        model.run_eagerly = True
        logs = model.test_on_batch(*_first(model, batch), return_dict=True)
    except SearchError:
        raise
    except Exception as error:
        raise SearchError(
            f"The model of the default hyperparameters can't be evaluated on the first "
            f"batch: {described(error)}"
        ) from error
    names = [*logs, *(f"val_{name}" for name in logs)]
    if work.objective.name not in names:
        raise SearchError(
            f"No metric gives the objective {work.objective.name!r}. The model logs "
            f"{', '.join(map(repr, names))}."
        )


def _first(model: keras.Model, batch: Any) -> Any:
    """A few sequences of a batch, if the model takes any number of them."""
    if any(shape[0] is not None for shape in _shapes(model)):
        return batch
    return tuple(keras.tree.map_structure(lambda x: x[:2], part) for part in batch)


def _shapes(model: keras.Model) -> list[tuple[int | None, ...]]:
    return [tuple(x.shape) for x in keras.tree.flatten(model.inputs)]


def _check_labels(hypermodel: Any, batch: Any) -> None:
    classes: Any = getattr(hypermodel, "classes", None)
    labelled = ("classification", "tagging")
    if not isinstance(hypermodel, HyperRNN) or hypermodel.kind not in labelled:
        return
    labels = np.asarray(batch[1])
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise SearchError(
            f"Labels must be from 0 to {classes - 1} with {classes} classes, received "
            f"{labels.min()} to {labels.max()}."
        )
