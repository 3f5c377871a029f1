"""Which engine runs each recurrent layer of a model, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras

from keras_rnnx import layers
from keras_rnnx._sublayers import path, walk
from keras_rnnx.conversion.counterparts import refusal
from keras_rnnx.engine.plan import Plan, plan
from keras_rnnx.inspection.table import Table
from keras_rnnx.layers.recipes import described


class Explained(NamedTuple):
    """One row of an explanation.

    Attributes:
        layer: name of the layer, after the names of the layers that hold it.
        cell: class of its cell.
        engine: the engine that runs it; "keras" for a layer of Keras; "none" if it
            cannot run as it is.
        kernel: in words, what does the work.
        reason: why this engine.
    """

    layer: str
    cell: str
    engine: str
    kernel: str
    reason: str


class Explanation(Table):
    """The recurrent layers of a model: a list of `Explained` that shows as a table."""

    empty = "No recurrent layers."


def explain(model: keras.Layer, training: bool = True) -> Explanation:
    """Says which engine runs each recurrent layer of a model, and why.

    Looks into models, wrappers and layers inside of the model, and into their
    attributes, lists and dicts. A shared layer is listed once. The engine is the one
    that a call would take now: on this backend, and inside of
    `keras_rnnx.engine.force` the forced one. A `keras_rnnx.layers.Stack` or
    `Bidirectional` that runs in one call of a vendor's kernel has one row. Otherwise
    each of its layers has a row, which says why. Calls are assumed to have no mask.

    Args:
        model: a Keras model or layer. It need not be built.
        training: whether to explain training, where random masks may rule out vendors'
            kernels, or inference. Default True.

    Returns:
        A list of rows `(layer, cell, engine, kernel, reason)` that shows as a table.

    Raises:
        TypeError: if `model` is not a Keras model or layer.

    Example:

    >>> model = keras.Sequential([keras_rnnx.layers.MinGRU(4, name="memory")])
    >>> for row in keras_rnnx.explain(model):
    ...     print(row.layer, row.cell, row.engine)
    memory MinGRUCell scan
    """
    if not isinstance(model, keras.Layer):
        raise TypeError(
            f"keras_rnnx.explain takes a Keras model or layer, received {model!r} of "
            f"type {type(model).__name__}."
        )
    return Explanation(_rows(model, training))


def _rows(model: keras.Layer, training: bool) -> Iterator[Explained]:
    # For the inner layers of stacks: why they need separate calls, or None if one call
    # runs them.
    reasons: dict[int, str | None] = {}
    for owners, layer in walk(model):
        if isinstance(layer, (layers.Stack, layers.Bidirectional)):
            chosen = _at_once(layer, training)
            rnns = [rnn for row in layer.rows for rnn in row]
            each = "layer" if isinstance(layer, layers.Stack) else "direction"
            if isinstance(chosen, Plan):
                reasons |= {id(rnn): None for rnn in rnns}
                row = chosen.engine, chosen.kernel, chosen.reason
                yield Explained(path(owners, layer), _cells(rnns), *row)
            else:
                why = chosen and f"a call for each {each}: {chosen}"
                reasons |= {id(rnn): why for rnn in rnns}
        elif isinstance(layer, keras.layers.RNN):
            note = reasons.get(id(layer), "")
            if note is not None:
                row = _run(layer, training, note)
                yield Explained(path(owners, layer), _cell(layer.cell), *row)


def _at_once(layer: layers.Stack | layers.Bidirectional, training: bool) -> Plan | str:
    try:
        return layer.plan(training)
    except ValueError:
        return ""  # The row of the layer that cannot run has the reason.


def _run(layer: Any, training: bool, note: str) -> tuple[str, str, str]:
    if not isinstance(layer, layers.RNN):
        reason = refusal(layer)
        reason = f"leaves it alone: {reason}" if reason else "replaces it"
        reason = f"a Keras layer; keras_rnnx.convert(model) {reason}"
        return "keras", "Keras' own", reason
    try:
        chosen = plan(layer, training)
    except ValueError as error:
        return "none", "none", str(error)
    reason = chosen.reason
    if note and chosen.engine in ("cudnn", "native"):
        reason += f"; {note}"
    if getattr(layer, "recipe", None):
        reason += f"; {described(layer.recipe, layer.cell)}"
    return chosen.engine, chosen.kernel, reason


def _cell(cell: Any) -> str:
    inner = [_cell(item) for item in getattr(cell, "cells", ())]
    return type(cell).__name__ + (f"({', '.join(inner)})" if inner else "")


def _cells(rnns: list[layers.RNN]) -> str:
    """The cells of layers, each class once: two directions may have two."""
    return ", ".join(dict.fromkeys(_cell(rnn.cell) for rnn in rnns))
