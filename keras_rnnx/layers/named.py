"""The named layers."""

from __future__ import annotations

import textwrap
from typing import Any

import keras

from keras_rnnx import cells
from keras_rnnx._docstrings import arguments, cell_text, with_arguments
from keras_rnnx.cells import Cell, registry
from keras_rnnx.layers import recipes
from keras_rnnx.layers.cell_layer import CellLayer
from keras_rnnx.layers.recurrent import RNN

# The arguments that every cell and every loop takes.
_SHARED = arguments(RNN) | arguments(Cell)


def _documented(layer: type[Any]) -> type[Any]:
    """Puts the arguments of cell and loop into the docstring of a layer."""
    names = recipes.fitting(layer.cell_class)
    choices = " or ".join(f'"{name}"' for name in names) or "there is none for it yet"
    meanings = {
        **_SHARED,
        **arguments(layer.cell_class),
        "recipe": f"name of a published combination of arguments: {choices}.",
        "kwargs": "`activity_regularizer`, as for `keras_rnnx.layers.RNN`, and the "
        "arguments of `keras.layers.Layer`.",
    }
    layer.__doc__ = with_arguments(layer.__doc__ or "", layer.__signature__, meanings)
    return layer


@_documented
@keras.saving.register_keras_serializable("keras_rnnx")
class LSTM(CellLayer):
    """Long short-term memory, in place of `keras.layers.LSTM`.

    Takes every argument of `keras.layers.LSTM` with its meaning and default (`dropout`
    and `recurrent_dropout` draw one mask a sample for all gates), and holds the same
    weights. See `keras_rnnx.cells.LSTMCell` for the equation and
    `keras_rnnx.layers.RNN` for the arguments of a call.

    Example:

    >>> keras_rnnx.layers.LSTM(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell_class = cells.LSTMCell


@_documented
@keras.saving.register_keras_serializable("keras_rnnx")
class GRU(CellLayer):
    """Gated recurrent unit, in place of `keras.layers.GRU`.

    Takes every argument of `keras.layers.GRU` with its meaning and default (`dropout`
    and `recurrent_dropout` draw one mask a sample for all gates), and holds the same
    weights. See `keras_rnnx.cells.GRUCell` for the equation and
    `keras_rnnx.layers.RNN` for the arguments of a call.

    Example:

    >>> keras_rnnx.layers.GRU(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell_class = cells.GRUCell


@_documented
@keras.saving.register_keras_serializable("keras_rnnx")
class SimpleRNN(CellLayer):
    """Simple recurrent network, in place of `keras.layers.SimpleRNN`.

    Takes every argument of `keras.layers.SimpleRNN` with its meaning and default, and
    holds the same weights. See `keras_rnnx.cells.SimpleRNNCell` for the equation and
    `keras_rnnx.layers.RNN` for the arguments of a call.

    Example:

    >>> keras_rnnx.layers.SimpleRNN(4)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    cell_class = cells.SimpleRNNCell


def _layer(cell_class: type[Any]) -> type[Any]:
    """The layer over a cell, named as the cell without `Cell`."""
    name = cell_class.__name__.removesuffix("Cell")
    text = cell_text(cell_class)
    about = "\n\n".join(filter(None, [text.summary, *text.body, cell_class.use]))
    doc = f"""{_filled(about)}

    See `keras_rnnx.cells.{cell_class.__name__}` for its weights, and
    `keras_rnnx.layers.RNN` for the arguments of a call.

    Example:

    >>> layer = keras_rnnx.layers.{name}(4, return_sequences=True)
    >>> layer(np.ones((2, 5, 3), "float32")).shape[:2]
    (2, 5)
    """
    members = {"cell_class": cell_class, "__doc__": doc, "__module__": __name__}
    layer_class = type(name, (CellLayer,), members)
    return _documented(
        keras.saving.register_keras_serializable("keras_rnnx")(layer_class)
    )


def _filled(paragraphs: str) -> str:
    """Paragraphs in lines, indented as those of a docstring."""
    filled = (
        textwrap.fill(
            p,
            width=88,
            subsequent_indent="    ",
            initial_indent="    " * bool(number),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for number, p in enumerate(paragraphs.split("\n\n"))
    )
    return "\n\n".join(filled)


# The layers with names of Keras are written out above, with docstrings of their own.
NAMED: dict[str, type[Any]] = {
    cls.__name__.removesuffix("Cell"): globals().get(cls.__name__.removesuffix("Cell"))
    or _layer(cls)
    for cls in registry.built_in()
}
globals().update(NAMED)
