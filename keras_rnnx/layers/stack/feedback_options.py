"""How a stack with gated feedback uses the options of its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_rnnx import _gates
from keras_rnnx.cells._base.masks import RATES
from keras_rnnx.initializers.seeds import apart
from keras_rnnx.regularizers.sum import Sum

if TYPE_CHECKING:
    from keras_rnnx.cells import Cell

# Only the engines and `Cell.call` implement these options.
REFUSED = (*RATES, "zoneout", "monte_carlo", "layer_norm", "batch_norm")
KINDS = ("initializer", "regularizer", "constraint")


def check(cell: Cell) -> None:
    """Raises a ValueError for options of a cell that gated feedback cannot use."""
    if cell.late:
        raise ValueError(
            "Gated feedback needs a GRU with reset_after=True: the reset gate "
            "multiplies the sum over all layers. Received reset_after=False."
        )
    for name in REFUSED:
        value = getattr(cell, name)
        if any(cell.zoneout_rates) if name == "zoneout" else value:
            raise ValueError(
                f"Gated feedback takes cells without masks and normalization, "
                f"received {name}={value}. Use the `dropout` (between layers), "
                f"`input_dropout` and `output_dropout` of `Stack`."
            )
    if cell.gradient_flow:
        raise ValueError(
            "Gated feedback runs in Keras' loop, which has no GradientFlow. Leave out "
            "this recurrent_regularizer, or pass gated_feedback=False."
        )


def of_feedback(cell: Cell, gate: str, rows: list[int]) -> list[dict[str, Any]]:
    """Keyword arguments of `add_weight` for the matrices that feed other layers back.

    Args:
        cell: the cell of the layer that reads.
        gate: its candidate, the gate that reads the other layers.
        rows: widths of the outputs of the other layers.

    Returns:
        For each of the other layers a dict of keyword arguments.

    Raises:
        ValueError: for an object that needs square matrices, if the widths differ.
    """
    initializer, regularizer, constraint = (
        _of_gate(getattr(cell, f"recurrent_{kind}"), cell, gate) for kind in KINDS
    )
    shared = {"regularizer": regularizer, "constraint": constraint}
    for item in (initializer, *_parts(regularizer), constraint):
        unequal = [n for n in rows if n != cell.units]
        if isinstance(item, _gates.Recurrent) and unequal:
            raise ValueError(
                f"{type(item).__name__} needs square matrices, but with gated feedback "
                f"a layer of {cell.units} units reads one of {unequal[0]} units. Give "
                f"all layers the same number of units, or pass PerGate with another "
                f"object for gate {gate!r}."
            )
    # The first one initializes the recurrent kernel.
    _, *of_others = apart(initializer, len(rows) + 1)
    return [{"initializer": item, **shared} for item in of_others]


def _of_gate(value: Any, cell: Cell, gate: str) -> Any:
    """The part of `value`, an object for a recurrent kernel, for one gate's block."""
    if isinstance(value, Sum):
        parts = [_of_gate(part, cell, gate) for part in value.regularizers]
        parts = [part for part in parts if part is not None]
        return Sum(*parts) if parts else None
    if hasattr(value, "of_gates"):
        gates = cell.gates_of("recurrent_kernel")
        return value.of_gates(cell, "recurrent_kernel")[gates.index(gate)]
    return value


def _parts(regularizer: Any) -> list[Any]:
    return regularizer.regularizers if isinstance(regularizer, Sum) else [regularizer]
