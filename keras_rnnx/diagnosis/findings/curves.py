"""What the losses of the epochs show: overfitting, plateaus, jumps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keras_rnnx.diagnosis.cures.prescriptions import (
    off_a_plateau,
    regularized,
    steadier,
)
from keras_rnnx.diagnosis.findings import thresholds
from keras_rnnx.diagnosis.findings.patient import Patient
from keras_rnnx.diagnosis.measured import Curves
from keras_rnnx.diagnosis.report import Finding

# Fewer epochs are no curve.
FEW_EPOCHS = 5
# Epochs without a better validation loss, before which it may still come.
WAITED = 3
# A validation loss that has risen by a twentieth is worse, whatever the task; less than
# a hundredth of where it began is nothing to lose.
RISEN, WORTH = 0.05, 0.01
# A rise is no chance where it is five times as large as the usual change from one epoch
# to the next: then one in a thousand of noisy losses that stay where they are has it.
CHANCE = 5.0
# Of two losses that go on together, neither falls to half of what it was at the best
# epoch while the other stays.
HALVED = 0.5
# A gap of a tenth of the first loss is one that the task shows.
GAP = 0.1

# No progress for half of the training, and for so many epochs.
NO_PROGRESS, NO_PROGRESS_EPOCHS = 0.5, 10
# Without the loss for other targets: a loss that has fallen by less has learned little.
LITTLE = 0.1

# One epoch that undoes half of what all before have learned.
UNDONE = 0.5


def overfitted(patient: Patient) -> Iterator[Finding]:
    """The training loss falls on, and the validation loss does not."""
    curves = patient.curves
    if curves is None or curves.validation is None or not _is_overfitted(curves):
        return
    best = curves.best - 1
    yield Finding(
        name="overfitted",
        layer=None,
        title="The model is overfitted",
        evidence=f"The validation loss is best in epoch {curves.best} of "
        f"{len(curves.loss)}, {curves.validation[best]:.4g}, and "
        f"{curves.validation[-1]:.4g} at the end. In the same epochs the training loss "
        f"goes from {curves.loss[best]:.4g} to {curves.loss[-1]:.4g}.",
        cause="The model learns the training data by heart: what it learns since "
        "that epoch does not hold for others.",
        cures=regularized(patient.model, patient.layers),
        paper="Merity, Keskar & Socher 2017, arXiv:1708.02182 (weight dropout, AR); "
        "Krueger et al. 2016, arXiv:1606.01305 (zoneout)",
        rank=0.5,
    )


def _is_overfitted(curves: Curves) -> bool:
    loss, validation = curves.loss, curves.validation
    assert validation is not None
    together = np.concatenate([loss, validation])
    few = len(loss) < FEW_EPOCHS or curves.since_best < WAITED
    if few or not np.isfinite(together).all():
        return False
    best = curves.best - 1
    first = abs(validation[0])
    # A single epoch may be good or bad by chance.
    windows = np.lib.stride_tricks.sliding_window_view(validation, WAITED)
    medians = np.median(windows, axis=1)
    lowest, end = float(medians.min()), float(medians[-1])
    rise = end - lowest
    usual = float(np.median(np.abs(np.diff(validation, n=2)))) / 2
    falls = loss[-1] < loss[best]
    risen = rise >= max(RISEN * abs(lowest), WORTH * first, CHANCE * usual)
    halved = 0 <= loss[-1] <= HALVED * loss[best]
    return bool(falls and (risen or (halved and end - loss[-1] >= GAP * first)))


def plateau(patient: Patient) -> Iterator[Finding]:
    """The training loss stays where it is, and little was learned before."""
    curves = patient.curves
    if curves is None or not np.isfinite(curves.loss).all():
        return
    epochs = len(curves.loss)
    if curves.since_progress < max(NO_PROGRESS_EPOCHS, NO_PROGRESS * epochs):
        return
    past = patient.past
    if past is not None:
        little = past.unrelated < thresholds.LEARNED * past.loss
        beside = (
            f"With the targets of other sequences it is {past.unrelated:.4g}, and "
            f"{past.loss:.4g} with its own."
        )
    else:
        fall = curves.loss[0] - curves.loss.min()
        little = fall < LITTLE * abs(curves.loss[0])
        beside = f"It was {curves.loss[0]:.4g} in the first epoch."
    if not little:
        return
    layer, measured = next(iter(patient))
    yield Finding(
        name="plateau",
        layer=None,
        title="The loss stays on a plateau",
        evidence=f"The training loss has not fallen for {curves.since_progress} of "
        f"{epochs} epochs; it is {curves.loss[-1]:.4g}. {beside}",
        cause="The model answers with what is right on average: nothing that the "
        "inputs say reaches the loss, or the way to it is flat.",
        cures=off_a_plateau(
            patient.model, measured.name, layer, measured.length, patient.clips
        ),
        paper="Hochreiter & Schmidhuber 1997; Tallec & Ollivier 2018, arXiv:1804.11188",
        rank=0.5,
    )


def unstable(patient: Patient) -> Iterator[Finding]:
    """One epoch undoes much of what all before have learned."""
    curves = patient.curves
    if curves is None or curves.jump < UNDONE:
        return
    if np.isfinite(curves.jump):
        at = int(np.argmax(np.diff(curves.loss))) + 1
        evidence = (
            f"From epoch {at} to {at + 1} the training loss rises from "
            f"{curves.loss[at - 1]:.4g} to {curves.loss[at]:.4g}, by "
            f"{curves.jump:.3g} of its fall until then."
        )
    else:
        at = int(np.argmin(np.isfinite(curves.loss))) + 1
        evidence = f"The training loss is {curves.loss[at - 1]} in epoch {at}."
    training = patient.training
    limit = 1.0 if training is None else training.one_in_ten
    yield Finding(
        name="unstable",
        layer=None,
        title="The loss jumps",
        evidence=evidence,
        cause="Some updates are too large: a gradient that explodes, or a learning "
        "rate that is too high.",
        cures=steadier(patient.model, patient.clips, limit),
        paper="Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063",
        rank=0.5,
    )
