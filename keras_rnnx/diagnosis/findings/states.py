"""States that carry nothing: dead units, gates that decide nothing, saturation."""

from __future__ import annotations

from collections.abc import Iterator

from keras_rnnx.diagnosis._measures.states import activation
from keras_rnnx.diagnosis.cures.prescriptions import normalized, revived
from keras_rnnx.diagnosis.findings import thresholds
from keras_rnnx.diagnosis.findings.patient import Patient
from keras_rnnx.diagnosis.measured import GateShares
from keras_rnnx.diagnosis.report import Finding


def dead(patient: Patient) -> Iterator[Finding]:
    """Units that are 0 whatever comes in."""
    if patient.has_learned:
        return
    for layer, measured in patient:
        states = measured.states
        if states is None or states.dead < thresholds.DEAD:
            continue
        rectifies = activation(layer.cell) in ("relu", "relu6")
        if rectifies:
            cause = (
                "A rectifier whose input is negative in all sequences gives 0, and "
                "lets no gradient through that would change it."
            )
        else:
            cause = "Nothing that comes in or was stored reaches these units."
        yield Finding(
            name="dead",
            layer=measured.name,
            title=f"{states.dead:.0%} of the units of {measured.name} are dead",
            evidence=f"{round(states.dead * states.units)} of {states.units} units are "
            f"0 at all steps of all sequences that were looked at.",
            cause=cause,
            cures=revived(patient.model, measured.name, layer),
            paper="Maas, Hannun & Ng 2013, ICML workshop on deep learning for audio, "
            "speech and language",
            rank=min(0.99, 1 - states.dead),
        )


def stuck_gates(patient: Patient) -> Iterator[Finding]:
    """Gates that are open or shut whatever comes in."""
    for layer, measured in patient:
        if measured.states is None:
            continue
        gates = measured.states.gates
        stuck = {k: _stuck(v) for k, v in gates.items()}
        stuck = {k: v for k, v in stuck.items() if v.stuck >= thresholds.STUCK}
        if not stuck:
            continue
        shares = ", ".join(
            f"{share.stuck:.0%} of the values of gate {gate} ({share.shut:.0%} below "
            f"0.05, {share.open:.0%} above 0.95)"
            for gate, share in stuck.items()
        )
        names = " and ".join(stuck)
        yield Finding(
            name="saturated_gates",
            layer=measured.name,
            title=f"{'Gates' if len(stuck) > 1 else 'Gate'} {names} of "
            f"{measured.name} decide nothing",
            evidence=f"Stuck are {shares}.",
            cause="The sums before the sigmoid are so large that inputs and states "
            "don't change the gate, and its slope lets no gradient through.",
            cures=normalized(patient.model, measured.name, layer),
            paper="Ba, Kiros & Hinton 2016, arXiv:1607.06450",
            rank=1 - max(share.stuck for share in stuck.values()),
        )


def _stuck(gate: GateShares) -> GateShares:
    """The shares, with all values at both ends counted as stuck where both are used.

    A gate that keeps the state is open on purpose, or shut by its bias: that is another
    trouble. One that is both is moved by sums too large for its slope.
    """
    if min(gate.shut, gate.open) < thresholds.BOTH_ENDS:
        return gate
    return gate._replace(stuck=max(gate.stuck, gate.shut + gate.open))


def saturated(patient: Patient) -> Iterator[Finding]:
    """Outputs at the ends of tanh."""
    for layer, measured in patient:
        share = measured.states.saturated if measured.states else None
        if share is None or share < thresholds.SATURATED:
            continue
        yield Finding(
            name="saturated_states",
            layer=measured.name,
            title=f"The states of {measured.name} are saturated",
            evidence=f"{share:.0%} of its outputs are beyond 0.99 in size.",
            cause="The sums before tanh are so large that its slope lets little "
            "gradient through: inputs are not scaled, or the weights are large.",
            cures=normalized(patient.model, measured.name, layer, inputs=True),
            paper="Glorot & Bengio 2010, AISTATS; Ba, Kiros & Hinton 2016, "
            "arXiv:1607.06450",
            rank=1 - share,
        )
