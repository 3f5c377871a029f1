"""Merges the outputs of two directions."""

from __future__ import annotations

from typing import Any

from keras import ops


def merged(forward: Any, backward: Any, mode: str | None) -> Any:
    """The outputs of both directions as one.

    Args:
        forward, backward: the outputs of both, with the steps in the same order.
        mode: "concat", "sum", "mul" or "ave"; None: a tuple of both.
    """
    if mode is None:
        return forward, backward
    if mode == "concat":
        return ops.concatenate([forward, backward], axis=-1)
    if mode == "mul":
        return forward * backward
    total = forward + backward
    return total / 2 if mode == "ave" else total
