"""Updates that are too large or too small beside the weights."""

from __future__ import annotations

from collections.abc import Iterator

from keras_rnnx.diagnosis._gradients import has_schedule, rate
from keras_rnnx.diagnosis.findings import thresholds
from keras_rnnx.diagnosis.findings.patient import Patient
from keras_rnnx.diagnosis.report import Finding


def size(patient: Patient) -> Iterator[Finding]:
    """An update changes a layer beyond recognition, or not at all."""
    for _, measured in patient:
        update = measured.update
        if update is None or update.ratio is None:
            continue
        optimizer = patient.optimizer
        large = update.ratio > thresholds.LARGE_UPDATE
        # A rate that rises by itself may begin at nothing; without a gradient there is
        # nothing to learn, or something else is wrong.
        small = (
            update.ratio < thresholds.SMALL_UPDATE
            and update.gradient > 0
            and not has_schedule(optimizer)
        )
        if not large and not small:
            continue
        now = rate(optimizer)
        better = now * thresholds.USUAL_UPDATE / update.ratio if update.ratio else 1e-3
        name = type(optimizer).__name__
        how = "large" if large else "small"
        what = (
            "A few updates undo what the layer has learned."
            if large
            else "The weights stay what they are: float32 rounds such changes away."
        )
        yield Finding(
            name=f"{how}_updates",
            layer=measured.name,
            title=f"Updates of {measured.name} are too {how}",
            evidence=f"With {name} at a rate of {now:g} an update is about "
            f"{update.ratio:.2g} of the norm of its matrices, {update.weights:.3g}. "
            f"Usual is about {thresholds.USUAL_UPDATE:g}.",
            cause=f"The learning rate does not fit this layer. {what}",
            cure=f"model.optimizer.learning_rate = {better:.1g}",
            paper="Bengio 2012, arXiv:1206.5533",
            rank=0.5,
        )
