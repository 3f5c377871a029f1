"""Layers that run slower than they have to."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from keras_rnnx import layers as ours
from keras_rnnx.cells import Cell
from keras_rnnx.conversion.counterparts import CELLS, refusal
from keras_rnnx.diagnosis.findings import thresholds
from keras_rnnx.diagnosis.findings.patient import Patient, code, of_layer
from keras_rnnx.diagnosis.report import Finding, LayerReport

# How the reason begins for which a kernel was not taken, and the arguments with which
# it would be. An argument that has its default is none of these: that is another cell.
# Nor are methods that a user has chosen against overfitting, but for one that has a
# twin which keeps the kernel.
CHANGES = {
    "use_cudnn=False": {"use_cudnn": '"auto"'},
    "unroll=True": {"unroll": "False"},
    # Of a cell that a scan computes, which keeps little anyway.
    "checkpoint=": {"checkpoint": "None"},
    "reset_after=False": {"reset_after": "True"},
    "recurrent_dropout=": {"weight_dropout": "0.3"},
    "activation=": {"activation": '"tanh"'},
    "recurrent_activation=": {"recurrent_activation": '"sigmoid"'},
}


def slow(patient: Patient) -> Iterator[Finding]:
    """A faster kernel is there, and something that can be changed keeps it away."""
    for layer, measured in patient:
        cost = measured.cost
        if cost is None:
            continue
        if cost.share is not None and cost.share < thresholds.WORTH_SPEEDING:
            continue
        cure = _cure(layer, measured)
        if cure is None:
            continue
        takes = ""
        if cost.seconds is not None and cost.share is not None:
            takes = (
                f" It takes {1e3 * cost.seconds:.1f} ms of a forward pass, "
                f"{min(cost.share, 1):.0%} of the model."
            )
        yield Finding(
            name="slow",
            layer=measured.name,
            title=f"{measured.name} runs slower than it has to",
            evidence=f"Engine {cost.engine} ({cost.kernel}): {cost.reason}.{takes}",
            cause="A faster kernel is there, and does not compute the layer as it is.",
            cure=cure,
            paper="docs/kernels.md says which arguments the kernels take",
            rank=0.5,
        )


def _cure(layer: keras.layers.RNN, measured: LayerReport) -> str | None:
    cost, cell = measured.cost, layer.cell
    if cost is None:
        return None
    if not isinstance(layer, ours.RNN) or not isinstance(cell, Cell):
        return _of_loop(layer)
    if cost.engine not in ("fused", "step"):
        return None
    for begin, arguments in CHANGES.items():
        if cost.reason.startswith(begin) and not _is_default(cell, begin):
            return code(layer, **arguments)
    return None


def _of_loop(layer: keras.layers.RNN) -> str | None:
    """What to take in place of the loop of Keras, or None.

    With torch alone it is a loop in Python.
    """
    if keras.backend.backend() != "torch":
        return None
    cell = layer.cell
    cells = getattr(cell, "cells", [cell])
    known = all(isinstance(one, Cell) or type(one) in CELLS for one in cells)
    if not known or refusal(layer):
        return None
    if not hasattr(cell, "cells"):
        return "keras_rnnx.convert(model)"
    # A layer for each cell; all but the last one return sequences.
    lines = []
    for one in cells:
        more = {} if one is cells[-1] else {"return_sequences": "True"}
        name = type(one).__name__.removesuffix("Cell")
        lines.append(of_layer(name, one.units, **more))
    return "\n".join(lines)


def _is_default(cell: Cell, begin: str) -> bool:
    """Whether a cell has the default of the argument that a reason begins with."""
    name = begin.partition("=")[0]
    config = cell.get_config()
    if name not in config:
        return False
    return config[name] == type(cell)(cell.units).get_config()[name]
