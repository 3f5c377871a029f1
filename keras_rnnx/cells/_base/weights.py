"""Makes the weights of a cell, and rejects arguments that fit none of them."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx._gates import bound


def build(cell: Any, features: int) -> None:
    """Makes the kernels, the bias and the vectors of a cell.

    Args:
        cell: the `Cell`.
        features: number of features of its inputs.

    Raises:
        ValueError: for an argument about a weight that the cell does not have.
    """
    _check_recurrent(cell)
    layout, units = cell.layout, cell.units
    rows = cell.window * features
    cell.kernel = _kernel(cell, "kernel", (rows, len(layout.input_gates) * units))
    width = len(layout.recurrent_gates) * units
    cell.recurrent_kernel = None
    if width:
        shape = (width,) if cell.diagonal else (cell.output_size, width)
        cell.recurrent_kernel = _kernel(cell, "recurrent_kernel", shape)
    cell.projection_kernel = None
    if cell.projection:
        shape = (units, len(cell.projection) * cell.output_size)
        cell.projection_kernel = _kernel(cell, "projection_kernel", shape)
    cell.bias = _bias(cell)
    for name in cell.vectors:
        cell.build_vector(name)


def _check_recurrent(cell: Any) -> None:
    """Rejects arguments about a recurrent matrix if the cell has none."""
    owner, layout = type(cell).__name__, cell.layout
    both = tuple(k for k in cell.gates if k not in cell.projection)
    matrices = () if cell.diagonal else layout.recurrent_gates
    if cell.normalization and not (layout.input_gates == matrices == both):
        raise ValueError(
            f"{cell.normalization.argument}=True normalizes both parts of every "
            f"gate, but {owner} has gates with a single part. Normalize its inputs in "
            f"a layer before it."
        )
    if matrices:
        return
    names = ["weight_dropout"]
    if not cell.diagonal:
        names += ["recurrent_dropout", "recurrent_regularizer", "recurrent_constraint"]
        # The default is an initializer of Keras, which has no `bind`.
        if hasattr(cell.recurrent_initializer, "bind"):
            names += ["recurrent_initializer"]
    for name in names:
        if getattr(cell, name):
            has = "has one recurrent weight for each unit" * cell.diagonal
            raise ValueError(
                f"{name}={getattr(cell, name)!r} is about a recurrent matrix, but "
                f"{owner} {has or 'multiplies its state by none'}. Leave it out; "
                f"zoneout fits every cell."
            )
    if cell.gradient_flow:
        raise ValueError(
            f"GradientFlow is about a recurrent matrix, but {owner} has none."
        )


def _kernel(cell: Any, name: str, shape: tuple[int, ...]) -> keras.Variable:
    prefix = name.removesuffix("_kernel")
    return cell.add_weight(
        shape=shape,
        name=name,
        **{
            kind: bound(getattr(cell, f"{prefix}_{kind}"), cell, name)
            for kind in ("initializer", "regularizer", "constraint")
        },
    )


def _bias(cell: Any) -> keras.Variable | None:
    if not cell.use_bias and hasattr(cell.bias_initializer, "bind"):
        raise ValueError(
            f"{type(cell).__name__} received bias_initializer="
            f"{type(cell.bias_initializer).__name__}(...) together with "
            f"use_bias=False, so there is no bias to initialize. Pass one of them."
        )
    gates = cell.layout.bias_gates
    if not cell.use_bias or not gates:
        return None
    width = len(gates) * cell.units
    return cell.add_weight(
        shape=(2, width) if cell.layout.two_biases else (width,),
        name="bias",
        initializer=_bias_initializer(cell, gates),
        regularizer=bound(cell.bias_regularizer, cell, "bias"),
        constraint=bound(cell.bias_constraint, cell, "bias"),
    )


def _bias_initializer(cell: Any, gates: tuple[str, ...]) -> Any:
    # An initializer that knows the gates makes the biases of all of them.
    bound_initializer = bound(cell.bias_initializer, cell, "bias")
    if bound_initializer is not cell.bias_initializer:
        return bound_initializer
    blocks = [cell.gate_bias_initializer(gate) for gate in gates]
    if all(block is cell.bias_initializer for block in blocks):
        return cell.bias_initializer

    def initializer(shape: tuple[int, ...], dtype: str | None = None) -> Any:
        shape = (*shape[:-1], cell.units)
        parts = [keras.initializers.get(b)(shape, dtype=dtype) for b in blocks]
        return ops.concatenate(parts, axis=-1)

    return initializer
