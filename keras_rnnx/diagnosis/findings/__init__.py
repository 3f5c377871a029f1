"""What the measures say is wrong: a function for each trouble."""

from __future__ import annotations

import dataclasses

from keras_rnnx.diagnosis.findings import (
    cost,
    curves,
    flow,
    memory,
    rates,
    states,
    updates,
)
from keras_rnnx.diagnosis.findings.patient import Patient
from keras_rnnx.diagnosis.report import Finding

# The troubles, worst first, and a cause before what it leads to: too high a rate makes
# gates stuck, gradients vanish in stuck gates, and states saturate that have to serve
# as the bias of an output layer. Those of numbers that are not finite
# come before all: they are looked for before anything is measured (`numbers.py`).
TABLE = (
    updates.rates,
    flow.exploding,
    updates.sizes,
    curves.overfitted,
    rates.base_rates,
    states.dead,
    memory.thrown_away,
    states.stuck_gates,
    states.saturated,
    flow.vanishing,
    memory.forgetful,
    memory.past_not_used,
    curves.unstable,
    curves.plateau,
    cost.denormal,
    cost.slow,
)


def found(patient: Patient) -> list[Finding]:
    """What is wrong, worst first; of one trouble, the worst layer first."""
    findings = [
        dataclasses.replace(finding, rank=place + finding.rank)
        for place, trouble in enumerate(TABLE, 1)
        for finding in trouble(patient)
    ]
    return sorted(findings, key=lambda finding: finding.rank)
