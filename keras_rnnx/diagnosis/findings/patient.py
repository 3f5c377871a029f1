"""What findings are made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras

from keras_rnnx.diagnosis._measures.gradients import inner_optimizer
from keras_rnnx.diagnosis.findings import thresholds
from keras_rnnx.diagnosis.measured import (
    Curves,
    Denormals,
    LayerReport,
    Past,
    Rates,
    Training,
)


@dataclasses.dataclass
class Patient:
    """A model with its measures.

    Attributes:
        model: the model.
        layers: its recurrent layers by name.
        measured: their measures.
        training: gradients of batches, or None.
        past: whether the past is used, or None.
        curves: the losses of its epochs, or None.
        denormals: what denormal numbers cost, or None.
        rates: how often each label occurs and is expected, or None.
    """

    model: keras.Model
    layers: dict[str, keras.layers.RNN]
    measured: dict[str, LayerReport]
    training: Training | None
    past: Past | None
    curves: Curves | None = None
    denormals: Denormals | None = None
    rates: Rates | None = None

    def __iter__(self) -> Iterator[tuple[keras.layers.RNN, LayerReport]]:
        for name, layer in self.layers.items():
            if name in self.measured:
                yield layer, self.measured[name]

    @property
    def has_learned(self) -> bool:
        """Whether the model has learned its task well: nothing keeps it from that."""
        past = self.past
        if past is None:
            return False
        return past.loss <= thresholds.LEARNED_WELL * past.unrelated

    @property
    def optimizer(self) -> Any:
        """The optimizer that makes the updates, or None."""
        compiled = getattr(self.model, "compiled", False)
        return inner_optimizer(self.model.optimizer) if compiled else None

    @property
    def clips(self) -> bool:
        """Whether the optimizer clips gradients."""
        names = ("clipnorm", "global_clipnorm", "clipvalue")
        return any(getattr(self.optimizer, name, None) for name in names)
