"""Outputs that don't know yet how often each label occurs."""

from __future__ import annotations

from collections.abc import Iterator

from keras_rnnx.diagnosis.cures.output_bias import OutputBias
from keras_rnnx.diagnosis.findings import thresholds
from keras_rnnx.diagnosis.findings.patient import Patient
from keras_rnnx.diagnosis.report import Finding


def base_rates(patient: Patient) -> Iterator[Finding]:
    """A good part of the loss is about how often labels occur, whatever is read."""
    rates = patient.rates
    if rates is None or patient.has_learned:
        return
    if rates.cost < thresholds.OF_RATES * rates.loss:
        return
    worst = int(abs(rates.targets - rates.expected).argmax())
    yield Finding(
        name="base_rates",
        layer=None,
        title="The outputs do not know how often each label occurs",
        evidence=f"Label {worst} occurs in {rates.targets[worst]:.2g} of the answers, "
        f"and the model expects it in {rates.expected[worst]:.2g}. Such differences of "
        f"the means make {rates.cost:.3g} of the {rates.loss:.3g} nats an answer has.",
        cause="The bias of an output layer starts at zero, and an optimizer with small "
        "steps takes thousands of updates to move it to where rare labels need it. "
        "Until then the states serve as a bias, and little else is learned.",
        cures=(OutputBias(rates),),
        paper="Lin, Goyal, Girshick, He & Dollár 2017, arXiv:1708.02002",
        rank=0.5,
    )
