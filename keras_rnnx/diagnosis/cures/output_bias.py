"""The cure for outputs that don't know how often each label occurs."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_rnnx._sublayers import walk
from keras_rnnx.diagnosis.cures._treatment import Refused, Treatment
from keras_rnnx.diagnosis.cures.cure import Cure
from keras_rnnx.diagnosis.measured import Rates
from keras_rnnx.initializers import BaseRates

# No label counts as rarer than that: some occur in no sequence that was looked at.
RAREST = 1e-3
# How `BaseRates` gets its rates, of targets `y`.
COUNTED = {
    "sigmoid": "(y.reshape(-1, {0}).sum(axis=0) + 1) / (y.size / {0} + 2)",
    "softmax": "(np.bincount(y.ravel(), minlength={0}) + 1) / (y.size + {0})",
}


@dataclasses.dataclass(frozen=True, eq=False)
class OutputBias(Cure):
    """An output layer whose bias answers the base rates.

    Args:
        rates: what was measured.
    """

    rates: Rates

    @property
    def name(self) -> str:
        return "BaseRates for the outputs"

    @property
    def code(self) -> str:
        labels, activation = len(self.rates.targets), self.rates.activation
        return (
            f"rates = {COUNTED[activation].format(labels)}\n"
            f'keras.layers.Dense({labels}, "{activation}", '
            f"bias_initializer=keras_rnnx.initializers.BaseRates("
            f"{', '.join(['rates', *self._activation])}))"
        )

    @property
    def _activation(self) -> list[str]:
        usual = self.rates.activation == "sigmoid"
        return [] if usual else [f'"{self.rates.activation}"']

    def prescribe(self, treatment: Treatment) -> None:
        head = self._head(treatment.model)
        if id(head) in treatment.changes:
            raise Refused(f"another cure changes {head.name} too")
        treatment.changes[id(head)] = self._change
        treatment.redrawn[id(head)] = frozenset({"bias"})

    def _head(self, model: keras.Model) -> keras.layers.Dense:
        """The output layer: the last dense one, if it has these outputs."""
        dense = [each for _, each in walk(model) if type(each) is keras.layers.Dense]
        activation = getattr(keras.activations, self.rates.activation)
        head = dense[-1] if dense else None
        if (
            head is None
            or head.units != len(self.rates.targets)
            or head.activation is not activation
            or not head.use_bias
        ):
            raise Refused(
                f"its outputs are not those of a Dense layer with a bias and "
                f"activation={self.rates.activation!r}"
            )
        return head

    def _change(self, head: keras.Layer) -> tuple[keras.Layer, bool]:
        rates = np.clip(self.rates.targets, RAREST, 1 - RAREST)
        config: dict[str, Any] = head.get_config()
        config["bias_initializer"] = BaseRates(rates, self.rates.activation)
        return keras.layers.Dense.from_config(config), True
