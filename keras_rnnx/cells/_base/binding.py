"""Initializers, regularizers and constraints that know whose weight they work on."""

from __future__ import annotations

from typing import Any


def bound(value: Any, cell: Any, weight: str) -> Any:
    """What Keras is given for a weight of a cell.

    An object that needs to know more than a shape (which columns are which gate, which
    gate keeps the state) has a method `bind(cell, weight)` that returns what Keras
    calls; it raises a ValueError if it does not fit. The cell keeps the object itself,
    for its config.

    Args:
        value: an initializer, regularizer or constraint, or None.
        cell: the `Cell`; it has `units`, `gates` and `memory_gates`.
        weight: "kernel", "recurrent_kernel" or "bias".
    """
    bind = getattr(value, "bind", None)
    return value if bind is None else bind(cell, weight)
