"""Layers that forget at once, and models that do not look back."""

from __future__ import annotations

from collections.abc import Iterator

from keras_rnnx.diagnosis._memory import FORGOTTEN
from keras_rnnx.diagnosis.findings import thresholds
from keras_rnnx.diagnosis.findings.patient import Patient, long_memory
from keras_rnnx.diagnosis.report import Finding


def forgetful(patient: Patient) -> Iterator[Finding]:
    """Nothing is left of a state after a small part of the sequence."""
    for layer, measured in patient:
        memory, length = measured.memory, measured.length
        if memory is None or memory.forgotten is None or length < thresholds.FEW_STEPS:
            continue
        if memory.forgotten > thresholds.FORGOTTEN_WITHIN * length:
            continue
        steps = "step" if memory.forgotten == 1 else "steps"
        yield Finding(
            name="forgetful",
            layer=measured.name,
            title=f"{measured.name} forgets within {memory.forgotten} {steps}",
            evidence=f"Of a change of the first state less than {FORGOTTEN:g} is left "
            f"after {memory.forgotten} {steps}; the data have {length} steps.",
            cause="The layer writes its state anew at each step, so that what it has "
            "seen does not last.",
            cure=long_memory(layer, length),
            paper="Gers, Schmidhuber & Cummins 2000; Tallec & Ollivier 2018, "
            "arXiv:1804.11188",
            rank=min(0.99, memory.forgotten / length),
        )


def past_not_used(patient: Patient) -> Iterator[Finding]:
    """The loss is the same with the past of other sequences."""
    past = patient.past
    if past is None or past.used is None:
        return
    if past.unrelated < thresholds.LEARNED * past.loss:
        return
    if past.used > thresholds.PAST_USED:
        return
    layer, measured = next(iter(patient))
    yield Finding(
        name="past_not_used",
        layer=None,
        title=f"The model uses the last {past.kept} steps alone",
        evidence=f"The loss is {past.loss:.4g}, and {past.exchanged:.4g} if the inputs "
        f"before come from other sequences. With the targets of others it is "
        f"{past.unrelated:.4g}.",
        cause="Either the task needs no more than these steps, and shorter sequences "
        "train as well and faster, or the model has not learned to look back.",
        cure=long_memory(layer, measured.length),
        paper="Tallec & Ollivier 2018, arXiv:1804.11188",
    )
