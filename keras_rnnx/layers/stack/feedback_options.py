"""What the options of cells mean in a stack with gated feedback."""

from __future__ import annotations

from typing import Any

from keras_rnnx import _gates
from keras_rnnx.cells._base.masks import RATES
from keras_rnnx.initializers.seeds import apart
from keras_rnnx.regularizers.sum import Sum

# The rest of the options need what only the engines and `Cell.call` do.
REFUSED = (*RATES, "zoneout", "monte_carlo", "layer_norm", "batch_norm")
KINDS = ("initializer", "regularizer", "constraint")


def check(cell: Any) -> None:
    """Raises a ValueError for options of a cell that gated feedback does not have."""
    if cell.late:
        raise ValueError(
            "Gated feedback needs a GRU with reset_after=True: the reset gate "
            "multiplies the sum over all layers. Received reset_after=False."
        )
    for name in REFUSED:
        value = getattr(cell, name)
        if any(cell.zoneout_rates) if name == "zoneout" else value:
            raise ValueError(
                f"Gated feedback takes cells without masks and normalization of their "
                f"own, received {name}={value}. `Stack` has dropout between layers, "
                f"`input_dropout` and `output_dropout`."
            )
    if cell.gradient_flow:
        raise ValueError(
            "Gated feedback runs in Keras' loop, which has no GradientFlow. Leave out "
            "that recurrent_regularizer, or pass gated_feedback=False."
        )


def of_feedback(cell: Any, gate: str, rows: list[int]) -> list[dict[str, Any]]:
    """What the matrices are made with that other layers are fed back by.

    Args:
        cell: the cell of the layer that reads.
        gate: its candidate, the gate that they go into.
        rows: widths of the outputs of the other layers.

    Returns:
        For each of them keyword arguments of `add_weight`.

    Raises:
        ValueError: for an object that is for square matrices, and widths that differ.
    """
    initializer, regularizer, constraint = (
        _of_gate(getattr(cell, f"recurrent_{kind}"), cell, gate) for kind in KINDS
    )
    found = {"regularizer": regularizer, "constraint": constraint}
    for one in (initializer, *_parts(regularizer), constraint):
        unequal = [n for n in rows if n != cell.units]
        if isinstance(one, _gates.Recurrent) and unequal:
            raise ValueError(
                f"{type(one).__name__} is for square matrices, and with gated feedback "
                f"a layer of {cell.units} units reads those of {unequal[0]} units. "
                f"Give all layers the same number of units, or pass PerGate with "
                f"another one for gate {gate!r}."
            )
    # The first is that of the recurrent kernel.
    _, *own = apart(initializer, len(rows) + 1)
    return [{"initializer": one, **found} for one in own]


def _of_gate(value, cell, gate):
    """What `value`, for a recurrent kernel, is for the block of one gate."""
    if isinstance(value, Sum):
        parts = [_of_gate(part, cell, gate) for part in value.regularizers]
        parts = [part for part in parts if part is not None]
        return Sum(*parts) if parts else None
    if hasattr(value, "of_gates"):
        gates = cell.gates_of("recurrent_kernel")
        return value.of_gates(cell, "recurrent_kernel")[gates.index(gate)]
    return value


def _parts(regularizer):
    return regularizer.regularizers if isinstance(regularizer, Sum) else [regularizer]
