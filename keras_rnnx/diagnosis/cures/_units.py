"""Which layers a cure of a recurrent layer changes, and these layers with changes."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from keras_rnnx import layers as ours
from keras_rnnx._sublayers import walk
from keras_rnnx.cells import Cell, registry
from keras_rnnx.conversion.copying import Copier
from keras_rnnx.conversion.counterparts import refusal
from keras_rnnx.diagnosis.cures._treatment import Refused
from keras_rnnx.layers.cell_layer import LOOP

# Arguments that a layer keeps where another cell takes the place of its own. Those of
# initial weights, constraints and activations are part of what a cell is.
KEPT = (
    "use_bias",
    "kernel_regularizer",
    "recurrent_regularizer",
    "bias_regularizer",
    "dropout",
    "recurrent_dropout",
    "dropout_mask",
    "weight_dropout",
    "input_weight_dropout",
    "monte_carlo",
    "seed",
)


def units_of(model: Any, layer: keras.layers.RNN) -> list[keras.Layer]:
    """What is changed with a recurrent layer: itself, its stack, or both directions.

    All layers of a `Stack` have one cell, and both directions of a `Bidirectional` are
    made from one layer.

    Args:
        model: the model, or None.
        layer: a recurrent layer of it.
    """
    if model is None:
        return [layer]
    owners = next(owners for owners, each in walk(model) if each is layer)
    unit: keras.Layer = next((o for o in owners if isinstance(o, ours.Stack)), layer)
    for owner in reversed(owners):
        if isinstance(owner, keras.layers.Bidirectional):
            both = [owner.forward_layer, owner.backward_layer]
            if any(unit is each for each in both):
                return both
    return [unit]


def cell_of(unit: keras.Layer) -> Any:
    """The cell of a layer, or the one that all layers of a stack are made from."""
    return unit.layers[0].cell if isinstance(unit, ours.Stack) else unit.cell


def width(unit: keras.Layer) -> Any:
    """The number of units of a layer; of a stack a list."""
    if isinstance(unit, ours.Stack):
        return list(unit.units)
    cell = unit.cell
    units = getattr(cell, "units", None)
    return units if isinstance(units, int) else keras.tree.flatten(cell.state_size)[0]


def changed(
    unit: keras.Layer, cell: str | None, arguments: dict[str, Any]
) -> tuple[keras.Layer, bool]:
    """A layer of this package in place of one, not built.

    Args:
        unit: a recurrent layer of Keras or of this package, or a `Stack`.
        cell: name of another cell, or None.
        arguments: arguments of the cell that change.

    Returns:
        The layer, and whether its gates are those of the old one.

    Raises:
        Refused: if there is no such layer.
    """
    theirs = isinstance(unit, keras.layers.RNN) and not isinstance(unit, ours.RNN)
    if theirs and (reason := refusal(unit)):
        raise Refused(f"{unit.name} can't be changed: {reason}")
    twin = Copier().layer(unit)
    if isinstance(twin, ours.Stack):
        return _stack(twin, cell, arguments)
    old = twin.cell
    if not isinstance(old, Cell):
        what = "a list of cells" if hasattr(old, "cells") else type(old).__name__
        raise Refused(
            f"{unit.name} runs {what}, whose arguments keras_rnnx does not know"
        )
    of_loop = {k: v for k, v in arguments.items() if k in LOOP}
    arguments = {k: v for k, v in arguments.items() if k not in LOOP}
    new = _cell(old, cell, arguments)
    config = ours.RNN.get_config(twin) | of_loop
    del config["cell"]
    name = type(new).__name__.removesuffix("Cell")
    cls: Any = getattr(ours, name, None)
    if cls is None or getattr(cls, "cell_class", None) is not type(new):
        made = ours.RNN.from_config(
            {**config, "cell": keras.saving.serialize_keras_object(new)}
        )
    else:
        own = {k: v for k, v in new.get_config().items() if k in cls._cell_arguments}
        made = cls.from_config({**config, **own, "recipe": None})
    return made, new.gates == old.gates


def _stack(
    twin: Any, cell: str | None, arguments: dict[str, Any]
) -> tuple[keras.Layer, bool]:
    of_loop = {k: v for k, v in arguments.items() if k in LOOP}
    arguments = {k: v for k, v in arguments.items() if k not in LOOP}
    config = twin.get_config() | of_loop
    old = keras.saving.deserialize_keras_object(config["cell"])
    new = _cell(old, cell, arguments)
    config["cell"] = keras.saving.serialize_keras_object(new)
    return type(twin).from_config(config), new.gates == old.gates


def _cell(old: Cell, name: str | None, arguments: dict[str, Any]) -> Cell:
    config = old.get_config()
    fresh = {k: _copy(v) for k, v in arguments.items()}
    cls: type[Cell] = type(old) if name is None else registry.lookup(name)
    if cls is type(old):
        return cls.from_config({**config, **fresh})
    taken = inspect.signature(cls).parameters
    kept = {k: config[k] for k in KEPT if k in config and k in taken}
    if not set(cls.gates) - set(cls.inputs_only):
        # It multiplies its state by no matrix.
        for name in ("recurrent_regularizer", "recurrent_dropout", "weight_dropout"):
            kept.pop(name, None)
    if old.gradient_flow:
        # It fits few cells, and is no part of the loss that is reported.
        kept.pop("recurrent_regularizer", None)
    zoneout = config.get("zoneout")
    if isinstance(zoneout, (int, float)):
        kept["zoneout"] = zoneout
    kept["dtype"], kept["trainable"] = config["dtype"], config["trainable"]
    return cls.from_config({"units": config["units"], **kept, **fresh})


def _copy(value: Any) -> Any:
    if hasattr(value, "get_config"):
        return type(value).from_config(value.get_config())
    return list(value) if isinstance(value, tuple) else value
