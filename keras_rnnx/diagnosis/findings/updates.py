"""Updates that are too large or too small beside the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras

from keras_rnnx.diagnosis._measures.gradients import (
    PER_WEIGHT,
    has_schedule,
    matrices,
    rate,
)
from keras_rnnx.diagnosis.cures.prescriptions import other_rate
from keras_rnnx.diagnosis.findings import thresholds
from keras_rnnx.diagnosis.findings.patient import Patient
from keras_rnnx.diagnosis.report import Finding


def rates(patient: Patient) -> Iterator[Finding]:
    """The rate alone says that updates are too large or small, as that of Adam does."""
    if _per_weight(patient):
        yield from _size(patient, thresholds.SMALL_UPDATE_PER_WEIGHT)


def sizes(patient: Patient) -> Iterator[Finding]:
    """Updates are too large or small, and their size goes with that of the gradient.

    So that is what else is wrong, if something is.
    """
    if not _per_weight(patient):
        yield from _size(patient, thresholds.SMALL_UPDATE)


def _per_weight(patient: Patient) -> bool:
    return type(patient.optimizer).__name__ in PER_WEIGHT


def _size(patient: Patient, least: float) -> Iterator[Finding]:
    """An update changes a layer beyond recognition, or not at all."""
    for layer, measured in patient:
        update = measured.update
        if update is None or update.ratio is None:
            continue
        optimizer = patient.optimizer
        # Beside what the weights are at first, if large updates made them large.
        grown = max(1.0, update.weights / _first_norm(layer))
        large = update.ratio * grown > thresholds.LARGE_UPDATE
        # A rate that rises by itself may begin at nothing; without a gradient there is
        # nothing to learn, or something else is wrong.
        small = (
            update.ratio < least
            and update.gradient > 0
            and not patient.has_learned
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
            cures=other_rate(patient.model, better),
            paper="Bengio 2012, arXiv:1206.5533",
            rank=0.5,
        )


def _first_norm(layer: keras.layers.RNN) -> float:
    """About the norm of the matrices of a layer before training."""
    shapes = [variable.shape for variable in matrices(layer)]
    squares = [2 * math.prod(shape) / sum(shape[-2:]) for shape in shapes]
    return math.sqrt(sum(squares)) or 1.0
