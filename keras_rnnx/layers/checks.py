"""Checks the arguments of recurrent layers and of their calls."""

from __future__ import annotations

import numbers
from typing import Any

import keras

from keras_rnnx.cells import Cell
from keras_rnnx.engine import backends
from keras_rnnx.regularizers.sum import on_sequences


def cell(value: Any) -> None:
    """Checks that `value` is a cell or a list of cells.

    Raises:
        ValueError: for a name or a class, with what to pass instead.
    """
    for received in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(received, str):
            raise ValueError(
                f"`cell` must be a cell, received the name {received!r}. Pass "
                f"keras_rnnx.cells.get({received!r}, units), or use "
                f"keras_rnnx.layers.Stack({received!r}, units)."
            )
        if isinstance(received, type):
            name = received.__name__
            ours = issubclass(received, Cell)
            stack = f", or use keras_rnnx.layers.Stack({name}, units)" if ours else ""
            raise ValueError(
                f"`cell` must be a cell, received the class {name}. Pass one of it, as "
                f"{name}(units){stack}."
            )


def use_cudnn(value: Any) -> bool | str:
    """`value` if it is "auto", True or False, else a ValueError."""
    if not (value is True or value is False or value == "auto"):
        raise ValueError(
            "Invalid value received for argument `use_cudnn`. Expected one of "
            f"{{'auto', True, False}}. Received: use_cudnn={value!r}"
        )
    return value


def checkpoint(value: Any, unroll: bool) -> bool | int | None:
    """`value` if it is None, True or a number of steps, else a ValueError."""
    if value is None or value is False:
        return None
    if not (isinstance(value, numbers.Integral) and int(value) > 0):
        raise ValueError(
            "Invalid value received for argument `checkpoint`. Expected None, True or "
            f"a positive number of steps. Received: checkpoint={value!r}"
        )
    if unroll:
        raise ValueError(
            f"checkpoint={value!r} runs segments of the sequence repeatedly, but "
            "unroll=True writes all steps out. Pass one of them."
        )
    return value if value is True else int(value)


def activity_regularizer(layer: keras.Layer) -> bool:
    """Whether the activity regularizer of a layer reads the outputs of all steps.

    Raises:
        ValueError: if it does, but the layer returns only the last output.
    """
    names = on_sequences(layer.activity_regularizer)
    if names and not layer.return_sequences:
        raise ValueError(
            f"{layer.name}: activity_regularizer={' + '.join(names)} is a penalty on "
            f"the outputs of all steps, received return_sequences=False. Pass "
            f"return_sequences=True, and take the last step after the layer."
        )
    return bool(names)


def sequences_shape(layer: keras.Layer, shape: Any) -> None:
    """Checks the shape that a recurrent layer is built for, and fixes it.

    A call with another rank or another number of features then raises a ValueError.

    Raises:
        ValueError: unless the shape is `(batch, time, features)` with a known number of
            features and one step or more.
    """
    shape = tuple(shape)
    if len(shape) != 3 or shape[-1] is None:
        raise ValueError(
            f"{layer.name}: sequences must have shape (batch, time, features) with a "
            f"known number of features, received shape {shape}. Write "
            f"keras.Input((steps, features)), where steps may be None; a recurrent "
            f"layer in front of this one needs return_sequences=True."
        )
    steps(layer, shape)
    layer.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: shape[-1]})


def call_arguments(
    layer: keras.Layer, sequences: Any, initial_state: Any, mask: Any
) -> None:
    """Checks shapes of the call arguments of a recurrent layer.

    Raises:
        ValueError: with the argument, its shape and the shape that fits.
    """
    if keras.tree.is_nested(sequences):
        return
    shape = tuple(sequences.shape)
    if len(shape) < 3:
        raise ValueError(
            f"{layer.name}: sequences must have shape (batch, time, features), "
            f"received shape {shape}."
        )
    steps(layer, shape)
    _mask(layer, shape, mask)
    _initial_state(layer, shape, initial_state)


def steps(layer: keras.Layer, shape: Any) -> None:
    """Raises a ValueError for sequences without steps, which have no last output.

    Args:
        layer: the layer that is called with them.
        shape: their shape, with None for unknown sizes.
    """
    if shape[1] == 0:
        raise ValueError(
            f"{layer.name}: sequences must have one step or more, received shape "
            f"{tuple(shape)}. Leave such sequences out; a batch of "
            f"others may hold rows that are masked as a whole."
        )


def batch(layer: keras.Layer, sequences: Any) -> None:
    """Raises a ValueError if a stateful layer keeps states of another batch size.

    Args:
        layer: a `Stack` or a `Bidirectional`.
        sequences: its inputs.
    """
    kept, received = keras.tree.flatten(layer.states or []), sequences.shape[0]
    if kept and received not in (None, kept[0].shape[0]):
        kind = type(layer).__name__
        raise ValueError(
            f"{layer.name}: a stateful {kind} continues from the states of the batch "
            f"before, of {kept[0].shape[0]} sequences; received {received} sequences. "
            f"Give all batches one size, or make another {kind} with the same weights."
        )


def _mask(layer: keras.Layer, shape: tuple[int | None, ...], mask: Any) -> None:
    masks = [m for m in keras.tree.flatten(mask) if m is not None]
    for received in masks[:1]:
        mask_shape = tuple(received.shape)
        fits = len(mask_shape) == 2 or (
            len(mask_shape) == 3 and mask_shape[2] in (1, None)
        )
        if not fits or not all(_equal(a, b) for a, b in zip(mask_shape, shape[:2])):
            raise ValueError(
                f"{layer.name}: mask must have shape (batch, time) = {shape[:2]}, "
                f"received shape {mask_shape}."
            )


def _initial_state(
    layer: keras.Layer, shape: tuple[int | None, ...], initial_state: Any
) -> None:
    if initial_state is None:
        return
    sizes = layer.state_size
    states = (
        list(initial_state)
        if isinstance(initial_state, (list, tuple))
        else [initial_state]
    )
    if len(states) != len(sizes):
        raise ValueError(
            f"{layer.name}: initial_state must be a list of {len(sizes)} state(s) for "
            f"{type(getattr(layer, 'cell', layer)).__name__}, received {len(states)}."
        )
    for state, size in zip(states, sizes):
        if not isinstance(size, int) or not hasattr(state, "shape"):
            continue
        state_shape, fits = tuple(state.shape), (shape[0], size)
        if len(state_shape) != 2 or not all(map(_equal, state_shape, fits)):
            raise ValueError(
                f"{layer.name}: each initial state must have shape (batch, units) = "
                f"({shape[0]}, {size}), received shape {state_shape}."
            )


def _equal(a: int | None, b: int | None) -> bool:
    return a is None or b is None or a == b


def exported_steps(layer: keras.Layer, sequences: Any, fixed: bool) -> None:
    """Checks that a loop in Python can be exported as a graph.

    Args:
        layer: the layer.
        sequences: its inputs.
        fixed: whether the model fixes the number of steps.

    Raises:
        ValueError: if torch exports a graph for any number of steps. The graph would
            hold the steps of this call, and be wrong for any other number.
    """
    backend = backends.find()
    if backend is None or not backend.exporting():
        return
    if fixed or isinstance(sequences.shape[1], int):
        return
    raise ValueError(
        f"{layer.name}: this layer runs a loop over the steps in Python, and a graph "
        f"with an open number of steps cannot hold it. Fix the number of steps: make "
        f"the model for the export with keras.Input((steps, features)), and set its "
        f"weights to those of this one."
    )
