"""Weights of a cell by gate, for initializers, regularizers and constraints."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_rnnx._errors import nearest

if TYPE_CHECKING:
    from keras_rnnx.cells import Cell

DEFAULT = "default"


def square(owner: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Units and number of gates of a recurrent kernel `(n, k n)`.

    Args:
        owner: the class that asks, for the message.
        shape: of the weight.

    Raises:
        ValueError: for any other shape.
    """
    shape = tuple(shape)
    if len(shape) != 2 or not shape[0] or shape[1] % shape[0]:
        raise ValueError(
            f"{owner} is for recurrent kernels, (n, n), or (n, k n) for k gates; "
            f"received shape {shape}."
        )
    return shape[0], shape[1] // shape[0]


def stacked(matrix: Any, gates: int) -> Any:
    """`(n, k n)` as `(k, n, n)`, by gate."""
    n = matrix.shape[0]
    return ops.transpose(ops.reshape(matrix, (n, gates, n)), (1, 0, 2))


def flat(blocks: Any) -> Any:
    """`(k, n, n)`, by gate, as `(n, k n)`."""
    gates, n, _ = blocks.shape
    return ops.reshape(ops.transpose(blocks, (1, 0, 2)), (n, gates * n))


def full(tensor: Any) -> Any:
    """A tensor, in float32 if it is in half precision."""
    tensor = ops.convert_to_tensor(tensor)
    half = keras.backend.standardize_dtype(tensor.dtype) in ("float16", "bfloat16")
    return ops.cast(tensor, "float32") if half else tensor


class Recurrent:
    """A mixin: for recurrent kernels only; other weights raise an error when built."""

    def bind(self, cell: Cell, weight: str) -> Any:
        """The object itself.

        Raises:
            ValueError: for another weight, or if the gates have no square matrices.
        """
        if weight != "recurrent_kernel":
            raise ValueError(
                f"{type(self).__name__} is for recurrent kernels, but was passed for "
                f"the {weight} of {type(cell).__name__}."
            )
        if cell.diagonal:
            raise ValueError(
                f"{type(self).__name__} is for matrices, but {type(cell).__name__} has "
                f"one recurrent weight for each unit and gate. Leave it out, or pass "
                f"an elementwise one, such as keras_rnnx.constraints.UnitRange."
            )
        if cell.output_size != cell.units:
            raise ValueError(
                f"{type(self).__name__} is for square matrices, but those of "
                f"{type(cell).__name__} with units={cell.units} have the shape "
                f"{(cell.output_size, cell.units)}, from an output of another width."
            )
        return self


def known_steps(cell: Cell, owner: str, instead: str) -> int:
    """The length of the sequences that a cell is built for, or a ValueError."""
    if cell.sequence_length is None:
        raise ValueError(
            f"{owner} takes its time scale from the length of the sequences, but "
            f"{type(cell).__name__} was built without a known length. Fix the length, "
            f"as in keras.Input((steps, features)), or pass {instead}."
        )
    return cell.sequence_length


def resolved(value: Any, get: Callable[[Any], Any]) -> Any:
    """The argument of `PerGate`, with objects instead of names and configs."""
    if isinstance(value, dict) and "class_name" not in value:
        return {gate: None if v is None else get(v) for gate, v in value.items()}
    return get(value)


def serialized(value: Any, serialize: Callable[[Any], Any]) -> Any:
    """The reverse of `resolved`."""
    if isinstance(value, dict):
        return {g: None if v is None else serialize(v) for g, v in value.items()}
    return serialize(value)


def by_gate(value: Any, cell: Cell, weight: str, complete: bool) -> list[Any]:
    """The object for each gate with a block in a weight of a cell.

    Args:
        value: one object for all gates, or a dict by gate, where "default" is for the
            other gates.
        cell: the `Cell`.
        weight: name of the weight.
        complete: whether there must be an object for each gate.

    Raises:
        ValueError: for a gate that the cell does not have, or a missing one.
    """
    gates = cell.gates_of(weight)
    if not isinstance(value, dict):
        return [value] * len(gates)
    where = "" if gates == tuple(cell.gates) else f" in its {weight}"
    has = f"{type(cell).__name__} has the gates {', '.join(gates)}{where}"
    for name in value:
        if name not in (*gates, DEFAULT):
            close = nearest(name, gates)
            hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise ValueError(f"PerGate received the gate {name!r}, but {has}.{hint}")
    missing = [g for g in gates if g not in value and DEFAULT not in value]
    if complete and missing:
        raise ValueError(
            f"PerGate received nothing for the gates {', '.join(missing)}: {has}. "
            f"Name all of them, or pass one for the others as {DEFAULT!r}."
        )
    return [value.get(gate, value.get(DEFAULT)) for gate in gates]


def guessed(value: Any, shape: tuple[int, ...]) -> list[Any]:
    """The object for each gate of a weight, if only its shape is known.

    Raises:
        ValueError: if the shape does not show the number of gates, or if `value` is a
            dict by gate.
    """
    if isinstance(value, dict):
        raise ValueError(
            f"PerGate with gates by name ({', '.join(value)}) is for the weights of "
            f"keras_rnnx cells, which know their gates; other layers take "
            f"PerGate(...) with one object for all gates."
        )
    if len(shape) != 2 or not shape[0] or shape[1] % shape[0]:
        raise ValueError(
            f"PerGate cannot recognize the gates of a weight of shape {tuple(shape)}: "
            f"use it for keras_rnnx cells, or for recurrent kernels (n, k n) of others."
        )
    return [value] * (shape[1] // shape[0])


def bound(value: Any, cell: Cell, weight: str) -> Any:
    """The object that Keras gets for a weight of a cell.

    An object that needs to know more than a shape (the columns of each gate, the gate
    that keeps the state) has a method `bind(cell, weight)`. It returns the object that
    Keras calls, and raises a ValueError if it does not fit. The cell keeps the original
    object, for its config.

    Args:
        value: an initializer, regularizer or constraint, or None.
        cell: the `Cell`; it has `units`, `gates` and `memory_gates`.
        weight: "kernel", "recurrent_kernel" or "bias".
    """
    bind = getattr(value, "bind", None)
    return value if bind is None else bind(cell, weight)
