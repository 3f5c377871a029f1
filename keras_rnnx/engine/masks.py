"""What a mask means for inputs and outputs.

A masked step carries the states on. What stands in it is not read. Its output repeats
the last one, zeros before the first valid step (as Keras on TensorFlow and torch), or
is zero if so asked.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx.engine import backends


def column(mask: Any) -> Any:
    """`(batch, time)` or `(batch, time, 1)` to a boolean `(batch, time, 1)`."""
    mask = ops.cast(mask, "bool")
    return ops.expand_dims(mask, -1) if len(mask.shape) == 2 else mask


def mask_inputs(sequences: Any, mask: Any) -> Any:
    """Sequences with zeros in masked steps, so that nothing that stands there is read.

    NaN or infinity in a masked step would otherwise reach gradients, through products
    with zeros. The gradient of what stands there is zero.

    Args:
        sequences: `(batch, time, ...)`, or a nested structure of such.
        mask: boolean, `(batch, time)` or `(batch, time, 1)`.
    """
    backend = backends.find() or ops
    mask = column(mask)

    def masked(x):
        shown = ops.reshape(mask, (*ops.shape(mask)[:2], *[1] * (len(x.shape) - 2)))
        return backend.where(shown, x, ops.zeros((), x.dtype))

    return keras.tree.map_structure(masked, sequences)


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
