"""Layer normalization inside of a recurrent cell."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any

from keras import ops

from keras_rnnx.cells._base.layout import SUM
from keras_rnnx.cells._base.normalization.base import (
    EPSILON,
    Normalization,
    exact,
    over_units,
)

if TYPE_CHECKING:
    from keras_rnnx.cells._base.tensors import StepContext


class LayerNormalization(Normalization):
    """Normalizes over the units of each sample.

    All gates that the equation reads as sums are normalized as one vector, and each
    other gate alone, as in the paper. Ba, Kiros & Hinton 2016, arXiv:1607.06450.
    """

    argument = "layer_norm"
    scale = 1.0

    def standardized(
        self, parts: dict[str, Any], scope: str, context: StepContext
    ) -> dict[str, Any]:
        if scope == "state":
            return _standardized(parts)
        result: dict[str, Any] = {}
        for group in self.groups:
            # A late gate comes alone.
            present = {k: parts[k] for k in group if k in parts}
            result |= _standardized(present) if present else {}
        return result

    @property
    def groups(self) -> list[tuple[str, ...]]:
        layout = self.cell.layout
        reads = {k: layout.gates[k].reads for k in layout.input_gates}
        together = tuple(k for k, how in reads.items() if how == SUM)
        alone = [(k,) for k, how in reads.items() if how != SUM]
        return [together] * bool(together) + alone


def _standardized(parts: dict[str, Any]) -> dict[str, Any]:
    """Mean 0 and variance 1 over the last axes of all parts together."""
    values = [exact(v) for v in parts.values()]

    def mean(tensors: list[Any]) -> Any:
        return over_units(functools.reduce(operator.add, tensors)) / len(tensors)

    middle = mean(values)
    values = [v - middle for v in values]
    # The operator, since `ops.rsqrt` computes float64 in float32 on some backends.
    factor = (mean([v * v for v in values]) + EPSILON) ** -0.5
    return {k: ops.cast(v * factor, parts[k].dtype) for k, v in zip(parts, values)}
