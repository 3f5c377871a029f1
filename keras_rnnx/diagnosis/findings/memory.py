"""Layers that forget at once, and models that do not look back."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from keras_rnnx.diagnosis._measures.gates import kept as kept_by
from keras_rnnx.diagnosis._measures.gates import memory_gates
from keras_rnnx.diagnosis._measures.memory import FORGOTTEN
from keras_rnnx.diagnosis.cures.prescriptions import long_memory
from keras_rnnx.diagnosis.findings import thresholds
from keras_rnnx.diagnosis.findings.patient import Patient
from keras_rnnx.diagnosis.measured import LayerReport
from keras_rnnx.diagnosis.report import Finding


def thrown_away(patient: Patient) -> Iterator[Finding]:
    """The gates that keep the state throw it away."""
    for layer, measured in _that_forget(patient, thresholds.LOST_WITHIN):
        kept = _kept(layer, measured)
        if kept is not None and kept < thresholds.THROWN:
            yield _forgetful(patient.model, layer, measured, kept)


def forgetful(patient: Patient) -> Iterator[Finding]:
    """Nothing is left of a state after a small part of the sequence."""
    for layer, measured in _that_forget(patient, thresholds.FORGOTTEN_WITHIN):
        kept = _kept(layer, measured)
        if kept is None or kept >= thresholds.THROWN:
            yield _forgetful(patient.model, layer, measured, None)


def _that_forget(
    patient: Patient, within: float
) -> Iterator[tuple[keras.layers.RNN, LayerReport]]:
    """The layers whose first state is lost within a part of the length."""
    if patient.has_learned:
        return
    for layer, measured in patient:
        memory, length = measured.memory, measured.length
        if memory is None or memory.forgotten is None or length < thresholds.FEW_STEPS:
            continue
        if memory.forgotten <= within * length:
            yield layer, measured


def _kept(layer: keras.layers.RNN, measured: LayerReport) -> float | None:
    """The share of the state that the gates keep in a step, or None."""
    cell, states, memory = layer.cell, measured.states, measured.memory
    kept = None if states is None else kept_by(cell, states.gates)
    if kept is None and getattr(cell, "linear", None) and memory_gates(cell):
        # Nothing but the gates makes the state from the one before.
        kept = None if memory is None else float(memory.decay[0])
    return kept


def _forgetful(
    model: keras.Model,
    layer: keras.layers.RNN,
    measured: LayerReport,
    kept: float | None,
) -> Finding:
    length = measured.length
    forgotten = (measured.memory and measured.memory.forgotten) or 1
    steps = "step" if forgotten == 1 else "steps"
    gates, cause = "", "The layer writes its state anew at each step"
    if kept is not None:
        gates = f" On average its gates keep {kept:.2g} of the state in a step."
        cause = "The gates that keep the state are nearly shut, by their biases"
    return Finding(
        name="forgetful",
        layer=measured.name,
        title=f"{measured.name} forgets within {forgotten} {steps}",
        evidence=f"Of a change of the first state less than {FORGOTTEN:g} is left "
        f"after {forgotten} {steps}; the data have {length} steps.{gates}",
        cause=f"{cause}, so that what it has seen does not last.",
        cures=long_memory(model, measured.name, layer, length),
        paper="Gers, Schmidhuber & Cummins 2000; Tallec & Ollivier 2018, "
        "arXiv:1804.11188",
        rank=min(0.99, forgotten / length),
    )


def past_not_used(patient: Patient) -> Iterator[Finding]:
    """The loss is the same with the past of other sequences."""
    past = patient.past
    if past is None or past.used is None or patient.has_learned:
        return
    if past.unrelated < thresholds.LEARNED * past.loss:
        return
    if past.used > thresholds.PAST_USED:
        return
    if not any(_ends(measured, past.kept) for _, measured in patient):
        # Nothing keeps the model from the past: it may come to it, if there is a use.
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
        cures=long_memory(patient.model, measured.name, layer, measured.length),
        paper="Tallec & Ollivier 2018, arXiv:1804.11188",
    )


def _ends(measured: LayerReport, steps: int) -> bool:
    """Whether the gradient or the memory of a layer ends within some steps."""
    gradients, memory = measured.gradients, measured.memory
    ends = (
        gradients.horizon if gradients else None,
        memory.forgotten if memory else None,
    )
    return any(end is not None and end <= steps for end in ends)
