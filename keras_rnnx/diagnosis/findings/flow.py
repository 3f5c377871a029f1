"""Gradients that shrink to nothing on their way back, or grow without bound."""

from __future__ import annotations

import math
from collections.abc import Iterator

from keras_rnnx.diagnosis._measures.gradients import REACH
from keras_rnnx.diagnosis.cures.prescriptions import bounded, long_memory
from keras_rnnx.diagnosis.findings import thresholds
from keras_rnnx.diagnosis.findings.patient import Patient
from keras_rnnx.diagnosis.measured import LayerReport
from keras_rnnx.diagnosis.report import Finding


def vanishing(patient: Patient) -> Iterator[Finding]:
    """The gradient is below a thousandth before it has come to half of the steps."""
    if patient.has_learned:
        return
    for layer, measured in patient:
        gradients, length = measured.gradients, measured.length
        if gradients is None or length < thresholds.FEW_STEPS:
            continue
        horizon, factor = gradients.horizon, gradients.factor
        if horizon is None or horizon >= thresholds.REACHED * length:
            continue
        # Without a factor nothing comes to the step before the last one.
        if factor is None:
            factor = 0.0
        if factor >= 1:
            continue
        yield Finding(
            name="vanishing",
            layer=measured.name,
            title=f"Gradients vanish in {measured.name}",
            evidence=f"Each step back multiplies the gradient by {factor:.3g}. "
            f"{horizon} steps back it is below {REACH:g} of its largest norm; the data "
            f"have {length} steps.",
            cause="The Jacobian of a step shrinks the gradient on its way back: the "
            "loss can't teach the layer what happened before.",
            cures=long_memory(patient.model, measured.name, layer, length),
            paper="Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063; Tallec & Ollivier "
            "2018, arXiv:1804.11188",
            rank=_less(horizon / length),
        )


def exploding(patient: Patient) -> Iterator[Finding]:
    """The gradient, or a small change of the state, grows over the sequence."""
    for layer, measured in patient:
        said = _growth(patient, measured)
        if said is None:
            continue
        strength, evidence = said
        yield Finding(
            name="exploding",
            layer=measured.name,
            title=f"Gradients explode in {measured.name}",
            evidence=evidence,
            cause="A step stretches small changes of the state, and so the gradient on "
            "its way back: an update is as large as the longest of these products.",
            cures=bounded(patient.model, measured.name, layer, patient.clips),
            paper="Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063",
            rank=_less(1 / strength),
        )


def _growth(patient: Patient, measured: LayerReport) -> tuple[float, str] | None:
    """By how much it grows, and what says so; None where it does not."""
    gradients, dynamics, length = measured.gradients, measured.dynamics, measured.length
    if length < thresholds.FEW_STEPS:
        return None
    training = patient.training
    clipped = training.clipped if training else None
    tamed = patient.clips and (clipped is None or clipped < thresholds.OFTEN_CLIPPED)
    least = math.log(thresholds.GROWTH)
    factor = gradients.factor if gradients else None
    if gradients and factor is not None and factor > 1 and not tamed:
        lags = len(gradients.norms)
        growth = (lags - 1) * math.log(factor)
        if growth >= least:
            return growth, (
                f"The gradient grows by a factor of {factor:.3g} a step, and of "
                f"{_power(growth)} over {lags} steps. {_clipping(patient)}"
            )
    if dynamics is None or patient.clips:
        return None
    growth = float(dynamics.exponents[0]) * length
    if growth < least:
        return None
    return growth, (
        f"The largest Lyapunov exponent is {dynamics.exponents[0]:.3g}: a small change "
        f"of the state grows by a factor of {_power(growth)} over {length} steps. "
        f"{_clipping(patient)}"
    )


def _clipping(patient: Patient) -> str:
    training = patient.training
    if training is None:
        return "" if patient.clips else "Nothing clips gradients."
    norms = f"Their norm in a batch is up to {training.norms.max():.3g}"
    if training.clipping is None:
        return f"{norms}, and the optimizer does not clip."
    limit = f"{training.clipping}={training.limit:g}"
    return f"{norms}, and {limit} changes {training.clipped:.0%} of the updates."


def _power(growth: float) -> str:
    """The exponential of a number, which may be large."""
    if growth < 20:
        return f"{math.exp(growth):.3g}"
    return f"1e{growth / math.log(10):.0f}"


def _less(share: float) -> float:
    """A share as a part of a rank: less than 1."""
    return min(0.99, max(0.0, share))
