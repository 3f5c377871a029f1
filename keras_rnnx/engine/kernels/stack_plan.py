"""Decides whether one call of a vendor's kernel runs all layers of a stack."""

from __future__ import annotations

import keras

from keras_rnnx.cells._base.masks import WEIGHTS
from keras_rnnx.engine import backends, costs
from keras_rnnx.engine.kernels.stack import reads_lengths
from keras_rnnx.engine.plan import Plan, forced_at_once, plan


def refusal(rows: list[list[keras.layers.RNN]], training: bool) -> str | None:
    """Why one call of a kernel cannot compute a stack of layers, or None if it can.

    Args:
        rows: for each layer from below a `keras_rnnx.layers.RNN`, or one forward and
            one backward. A kernel can run each of them alone.
        training: whether the call trains, with dropout on.
    """
    rnns = [rnn for row in rows for rnn in row]
    if len(rnns) == 1:
        return "there is one layer"
    cells = [rnn.cell for rnn in rnns]
    for name, values in (
        ("units", [cell.units for cell in cells]),
        ("kernels", [cell.lowering().kernel for cell in cells]),
        ("dtypes", [cell.compute_dtype for cell in cells]),
    ):
        if len(set(values)) > 1:
            # Both directions of a layer in a stack have the same values: show one.
            each = len(rows[0]) if len(rows) > 1 else 1
            different = ", ".join(map(str, values[::each]))
            return f"layers with {name} {different} are not all the same"
    lowering = cells[0].lowering()
    if not all(cell.lowering().direct for cell in cells):
        return (
            f"as a {lowering.kernel} ({lowering.says}) the cell has other inputs, "
            f"states or outputs than the kernel, which must be mapped between layers"
        )
    if cells[0].window > 1:
        return f"window={cells[0].window} gives each layer the inputs of several steps"
    for cell in cells:
        of_inputs = [m for m in cell.random_masks.masks if m.kind not in WEIGHTS]
        if cell.random_masks.on(training) and of_inputs:
            return f"dropout={cell.dropout} of the cell drops the inputs of every layer"
    for rnn in rnns:
        if rnn.activity_regularizer is not None:
            return f"the activity regularizer of {rnn.name} needs its outputs"
        if training and rnn.checkpoint is not None:
            return f"checkpoint={rnn.checkpoint!r} computes each layer in segments"
    return None


def plan_at_once(
    rows: list[list[keras.layers.RNN]],
    training: bool = True,
    batch: int | None = None,
    masked: bool = False,
    wants_states: bool = False,
    refused: str | None = None,
) -> Plan | str:
    """Chooses whether one call runs a stack of layers.

    Args:
        rows: as for `refusal`.
        training: whether the call trains, with dropout on. Default True.
        batch: number of sequences, if known. Default: not known.
        masked: whether there is a mask. Default False.
        wants_states: whether the last states are needed. Default False.
        refused: why the stack itself cannot be one call. Default None.

    Returns:
        The plan of that call, or the reason for one call per layer.

    Raises:
        ValueError: if an engine was forced that cannot run a layer, or if one call was
            forced and is not possible.
    """
    forced = forced_at_once()
    if forced is False:
        return "forced"
    reason, plans = refused, []
    if reason is None:
        plans = [plan(rnn, training, batch) for row in rows for rnn in row]
        reason = _engine_refusal(rows, plans) or refusal(rows, training)
    if reason and forced:
        raise ValueError(f"One call of all layers was forced, but {reason}.")
    if reason is None and not forced:
        cell, engine = rows[0][0].cell, plans[0].engine
        sorted_rows = (
            masked
            and not backends.current().KERNELS_TAKE_LENGTHS
            and reads_lengths(cell.lowering().kernel, len(rows[0]), wants_states)
        )
        reason = costs.refusal_at_once(cell, engine, training, batch, sorted_rows)
    if reason:
        return reason
    of_layers = f"{len(rows)} layer{'s' * (len(rows) > 1)}"
    both = ", both directions" * (len(rows[0]) == 2)
    return Plan(
        plans[0].engine,
        f"{plans[0].kernel}, one call of {of_layers}{both}",
        plans[0].reason,
    )


def _engine_refusal(
    rows: list[list[keras.layers.RNN]], plans: list[Plan]
) -> str | None:
    """Why the layers cannot share one kernel, or None."""
    for rnn, chosen in zip([rnn for row in rows for rnn in row], plans):
        if chosen.engine not in ("cudnn", "native"):
            return f"{rnn.name} runs on the {chosen.engine} engine: {chosen.reason}"
        if backends.current().hooked(rnn):
            return f"hooks of {rnn.name} need its inputs or outputs"
    return None
