"""Makes the levels of a stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from keras_rnnx.layers import _dropout
from keras_rnnx.layers.stack.arguments import Template, check_widths
from keras_rnnx.layers.stack.feedback_level import FeedbackLevel
from keras_rnnx.layers.stack.level import Level

# Arguments of a stack that it passes to all its layers.
LOOP = (
    "stateful",
    "unroll",
    "use_cudnn",
    "checkpoint",
    "initial_state_trainable",
    "initial_state_initializer",
    "initial_state_noise",
)


def make(
    stack: Any, template: Template, seeds: Iterator[int | None]
) -> list[keras.layers.Layer]:
    """The levels of a stack, from below.

    Args:
        stack: the `Stack`, whose arguments are set.
        template: its cell.
        seeds: of the dropout masks.
    """
    directions = ("forward_", "backward_") if stack.bidirectional else ("",)
    dtype = stack.dtype_policy
    # With gated feedback only the dropout of the stack draws masks.
    changed = {"monte_carlo": False} if stack.gated_feedback else {}
    cells = [
        [
            template.cell(
                units=units,
                seed=next(seeds),
                dtype=dtype,
                # Cells of one layer need different names, for weights files.
                name=f"{template.name}_cell" + f"_{k}" * bool(k and changed),
                **changed,
            )
            for _ in directions
        ]
        for k, units in enumerate(stack.units)
    ]
    check_widths(stack, [row[0].output_size for row in cells])
    rates = [stack.input_dropout] + [stack.dropout] * (len(cells) - 1)
    drops = [dropout_layer(stack, rate, stack.dropout_mask, seeds) for rate in rates]
    loop = {name: getattr(stack, name) for name in LOOP}
    if stack.gated_feedback:
        loop["return_sequences"] = stack.return_sequences
        loop["zero_output_for_mask"] = stack.zero_output_for_mask
        level = FeedbackLevel(
            [cell for (cell,) in cells],
            drops,
            f"{template.name}_1_to_{len(cells)}",
            stack.monte_carlo,
            loop,
            name="levels",
            dtype=dtype,
        )
        return [level]
    levels = []
    for k, (row, drop) in enumerate(zip(cells, drops), 1):
        top = k == len(cells)
        sequences = stack.return_sequences or not top
        zero = sequences if stack.bidirectional else top and stack.zero_output_for_mask
        levels.append(
            Level(
                row,
                [f"{direction}{template.name}_{k}" for direction in directions],
                drop,
                merge_mode=stack.merge_mode,
                connection=stack.connection,
                highway_bias=stack.highway_bias,
                top=top,
                return_sequences=sequences,
                zero_output_for_mask=zero,
                loop=loop,
                name=f"level_{k}",
                dtype=dtype,
            )
        )
    return levels


def dropout_layer(
    stack: Any, rate: float, mask: str, seeds: Iterator[int | None]
) -> keras.layers.Layer | None:
    """A dropout layer, or None at rate 0.

    Args:
        stack: the stack it is for.
        rate: the rate.
        mask: "step" or "sequence".
        seeds: an iterator; one seed is taken from it, also at rate 0.
    """
    seed = next(seeds)
    if not rate:
        return None
    return _dropout.dropout_layer(
        rate, mask, stack.monte_carlo, seed, stack.dtype_policy
    )
