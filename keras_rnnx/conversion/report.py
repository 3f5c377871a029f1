"""The report on a conversion."""

from __future__ import annotations

from typing import NamedTuple

import keras

from keras_rnnx import cells, layers
from keras_rnnx._sublayers import path, walk
from keras_rnnx.conversion.copying import Copier
from keras_rnnx.conversion.counterparts import CELLS, cell_refusal, refusal
from keras_rnnx.inspection.table import Table


class Converted(NamedTuple):
    """One row of a conversion report.

    Attributes:
        layer: name of the layer, after the names of the layers that hold it.
        type: its class in the old model.
        converted: whether a keras_rnnx layer replaces it in the new model.
        reason: why not, or what differs in the new layer.
    """

    layer: str
    type: str
    converted: bool
    reason: str


class Conversion(Table):
    """A report of `keras_rnnx.convert`: a list of `Converted`, shown as a table."""

    empty = "No recurrent layers of Keras."


def rows(model: keras.Layer, copier: Copier, uncompiled: dict[int, str]) -> Conversion:
    """The report on a conversion.

    Args:
        model: the old model.
        copier: the `Copier` that copied it.
        uncompiled: why models were not compiled again, by their `id`.
    """
    rows = Conversion()
    for owners, layer in walk(model):
        new = copier.pairs.get(id(layer), (layer, None))[1]
        row = Converted(path(owners, layer), type(layer).__name__, False, "")
        if id(layer) in uncompiled:
            reason = f"the new model is not compiled: {uncompiled[id(layer)]}"
            rows.append(row._replace(reason=reason))
        if isinstance(layer, keras.layers.RNN):
            ours = isinstance(layer, layers.RNN)
            if isinstance(new, layers.RNN) and not ours:
                rows.append(row._replace(converted=True, reason=_difference(layer)))
            elif not ours:
                reason = (
                    refusal(layer)
                    or copier.reasons.get(id(layer))
                    or "an attribute of a functional model, not in its graph"
                )
                rows.append(row._replace(reason=reason))
            elif new is not None and type(new.cell) is not type(layer.cell):
                rows.append(row._replace(converted=True, reason=_difference(layer)))
        elif type(layer) in CELLS:
            in_layer = any(isinstance(owner, keras.layers.RNN) for owner in owners)
            if isinstance(new, cells.Cell) and not in_layer:
                rows.append(row._replace(converted=True))
            elif not in_layer:
                reason = cell_refusal(layer) or "stepped by code outside of a layer"
                rows.append(row._replace(reason=reason))
    return rows


def _difference(layer: keras.layers.RNN) -> str:
    stack = getattr(layer.cell, "cells", [layer.cell])
    if any(getattr(cell, "recurrent_dropout", 0) for cell in stack):
        return "recurrent_dropout draws one mask for all gates, in Keras one for each"
    return ""
