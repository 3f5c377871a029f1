"""What a mask means for outputs.

A masked step carries the states on. Its output repeats the last one, zeros before the
first valid step (as Keras on TensorFlow and torch), or is zero if so asked.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_rnnx.engine import backends


def column(mask: Any) -> Any:
    """`(batch, time)` or `(batch, time, 1)` to a boolean `(batch, time, 1)`."""
    mask = ops.cast(mask, "bool")
    return ops.expand_dims(mask, -1) if len(mask.shape) == 2 else mask


def mask_outputs(outputs: Any, mask: Any, zero_output: bool) -> Any:
    """Outputs `(batch, time, units)` where the states were carried over masked steps.

    Args:
        outputs: first state after every step.
        mask: boolean, `(batch, time, 1)`.
        zero_output: whether masked steps give zeros.
    """
    shown = mask if zero_output else ops.cumsum(ops.cast(mask, "int32"), axis=1) > 0
    return backends.current().where(shown, outputs, ops.zeros_like(outputs))


def mask_last(output: Any, mask: Any, zero_output: bool) -> Any:
    """The same for the output of the last step alone, `(batch, units)`."""
    shown = mask[:, -1] if zero_output else ops.any(mask, axis=1)
    return backends.current().where(shown, output, ops.zeros_like(output))
