"""Models that run slower than they have to."""

from __future__ import annotations

from collections.abc import Iterator

from keras_rnnx.diagnosis.cures.prescriptions import FLUSH, taken_by_kernels
from keras_rnnx.diagnosis.findings import thresholds
from keras_rnnx.diagnosis.findings.patient import Patient
from keras_rnnx.diagnosis.report import Finding


def denormal(patient: Patient) -> Iterator[Finding]:
    """The processor takes long over numbers that are as good as 0."""
    found = patient.denormals
    if found is None or found.seconds < thresholds.FASTER * found.flushed_seconds:
        return
    yield Finding(
        name="denormal",
        layer=None,
        title="Numbers that are as good as 0 make the model slow",
        evidence=f"{found.share:.0%} of the states and their gradients are denormal: "
        f"below 1.2e-38, and not 0. On one thread the gradient of a batch takes "
        f"{1e3 * found.seconds:.1f} ms, and {1e3 * found.flushed_seconds:.1f} ms where "
        f"such numbers are taken for 0.",
        cause="torch computes with denormal numbers, for which a processor needs many "
        "times as long. TensorFlow and JAX take them for 0.",
        cures=(FLUSH,),
        paper="docs/fast.md says more",
        rank=0.5,
    )


def slow(patient: Patient) -> Iterator[Finding]:
    """A faster kernel is there, and something that can be changed keeps it away."""
    for layer, measured in patient:
        cost = measured.cost
        if cost is None:
            continue
        if cost.share is not None and cost.share < thresholds.WORTH_SPEEDING:
            continue
        cures = taken_by_kernels(patient.model, measured.name, layer, cost)
        if not cures:
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
            cures=cures,
            paper="docs/kernels.md says which arguments the kernels take",
            rank=0.5,
        )
