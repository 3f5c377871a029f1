"""How a mask acts on inputs and outputs.

A masked step keeps the states, and its inputs are not read. Its output repeats the last
one, or zeros before the first valid step (as in Keras on TensorFlow and torch); with
`zero_output_for_mask` it is zero.
"""

from __future__ import annotations

import keras
from keras import ops

from keras_rnnx.engine import backends
from keras_rnnx.engine.backends.protocol import Tensor, Tree


def column(mask: Tensor) -> Tensor:
    """`(batch, time)` or `(batch, time, 1)` to a boolean `(batch, time, 1)`."""
    mask = ops.cast(mask, "bool")
    return ops.expand_dims(mask, -1) if len(mask.shape) == 2 else mask


def mask_inputs(sequences: Tree, mask: Tensor) -> Tree:
    """Sequences with zeros in masked steps, so that their values are not read.

    NaN or infinity in a masked step would otherwise reach gradients, through products
    with zeros. The gradient of the values in a masked step is zero.

    Args:
        sequences: `(batch, time, ...)`, or a nested structure of them.
        mask: boolean, `(batch, time)` or `(batch, time, 1)`.
    """
    backend = backends.find() or ops
    mask = column(mask)

    def masked(x: Tensor) -> Tensor:
        shown = ops.reshape(mask, (*ops.shape(mask)[:2], *[1] * (len(x.shape) - 2)))
        return backend.where(shown, x, ops.zeros((), x.dtype))

    return keras.tree.map_structure(masked, sequences)


def mask_outputs(outputs: Tensor, mask: Tensor, zero_output: bool) -> Tensor:
    """Outputs `(batch, time, units)` of a loop that kept its states in masked steps.

    Args:
        outputs: first state after every step.
        mask: boolean, `(batch, time, 1)`.
        zero_output: whether the outputs of masked steps are zero.
    """
    shown = mask if zero_output else ops.cumsum(ops.cast(mask, "int32"), axis=1) > 0
    return backends.current().where(shown, outputs, ops.zeros_like(outputs))


def mask_last(output: Tensor, mask: Tensor, zero_output: bool) -> Tensor:
    """The same for only the output of the last step, `(batch, units)`."""
    shown = mask[:, -1] if zero_output else ops.any(mask, axis=1)
    return backends.current().where(shown, output, ops.zeros_like(output))
