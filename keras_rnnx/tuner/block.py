"""Recurrent layers with drawn hyperparameters, for the user's build function."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import keras_tuner

from keras_rnnx.cells.registry import catalog_name
from keras_rnnx.layers import Stack
from keras_rnnx.tuner._space import arguments
from keras_rnnx.tuner._space.hyperparameters import of_cells
from keras_rnnx.tuner._space.space import Space
from keras_rnnx.tuner.hypermodel import CELLS


def recurrent_block(
    hp: keras_tuner.HyperParameters,
    x: Any,
    *,
    cells: Iterable[str] = CELLS,
    preset: str = "standard",
    space: Mapping[str, Any] | None = None,
    return_sequences: bool = False,
    causal: bool = False,
    name: str | None = None,
) -> Any:
    """Recurrent layers with drawn hyperparameters, for a build function of your own.

    Args:
        hp: the `keras_tuner.HyperParameters` of the build function.
        x: a Keras tensor `(batch, time, features)`.
        cells: names of the cells to choose from. Default "lstm", "gru", "leaky_rnn".
        preset: as for `HyperRNN`; only hyperparameters of the recurrent layers are
            drawn. Default "standard".
        space: changes, as for `HyperRNN`.
        return_sequences: whether to return the outputs of all steps. Default False.
        causal: whether an output must not see later steps. Default False.
        name: name of the layer, and prefix of the names of the hyperparameters, so that
            a model can have several blocks. Default None.

    Returns:
        A Keras tensor, `(batch, units)` or `(batch, time, units)`.

    Raises:
        ValueError: as `HyperRNN` does for `cells`, `preset` and `space`.

    Example:

    >>> def build(hp):
    ...     inputs = keras.Input((20, 3))
    ...     x = keras.layers.Conv1D(8, 3, padding="same")(inputs)
    ...     x = keras_rnnx.tuner.recurrent_block(hp, x, cells=["gru", "lem"])
    ...     model = keras.Model(inputs, keras.layers.Dense(1)(x))
    ...     model.compile(keras.optimizers.Adam(hp.Float("rate", 1e-4, 1e-2)), "mse")
    ...     return model
    >>> build(keras_tuner.HyperParameters()).output_shape
    (None, 1)
    """
    cells = tuple(map(catalog_name, cells))
    kind = "tagging" if return_sequences else "classification"
    steps = x.shape[1]
    hyperparameters = of_cells(cells, steps, preset, "next_step" if causal else kind)
    scope = hp.name_scope(name) if name else contextlib.nullcontext()
    with scope:
        settings = Space(hyperparameters, preset, space, cells).draw(hp)
    stack_arguments = arguments.stack_arguments(
        settings, steps, steps is not None, False
    )
    stack_arguments.setdefault("depth", settings["layers"])
    return Stack(**stack_arguments, return_sequences=return_sequences, name=name)(x)
