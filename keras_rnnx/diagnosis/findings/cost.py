"""Layers that run slower than they have to."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from keras_rnnx import layers as ours
from keras_rnnx.conversion.counterparts import refusal
from keras_rnnx.diagnosis.findings import thresholds
from keras_rnnx.diagnosis.findings.patient import Patient, code
from keras_rnnx.diagnosis.report import Finding, LayerReport

# How the reason begins for which a kernel was not taken, and the arguments with which
# it would be. Methods that a user has chosen against overfitting are none of these, but
# for one that has a twin which keeps the kernel.
CHANGES = {
    "use_cudnn=False": {"use_cudnn": '"auto"'},
    "unroll=True": {"unroll": "False"},
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
    cost = measured.cost
    if cost is None:
        return None
    if not isinstance(layer, ours.RNN):
        # With torch alone Keras' loop is one in Python.
        loops = keras.backend.backend() == "torch"
        return "keras_rnnx.convert(model)" if loops and not refusal(layer) else None
    if cost.engine not in ("fused", "step"):
        return None
    for begin, arguments in CHANGES.items():
        if cost.reason.startswith(begin):
            return code(layer, **arguments)
    return None
