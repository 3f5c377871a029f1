"""The tensors that engines pass to a cell, by name."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple


class Parts(NamedTuple):
    """The two parts of a gate that the equation reads separately.

    Attributes:
        input: `W x + b`, `(batch, units)`; None for a gate that reads the state alone.
        product: `U h`, `(batch, width)`; for a late gate a function from the vector
            that its matrix multiplies to the product.
    """

    input: Any
    product: Any


@dataclasses.dataclass
class StepVectors:
    """The vectors that a step reads.

    Attributes:
        own: the vectors that the cell declares, by name, each `(units,)`.
        per_unit: recurrent weights of the gates of a diagonal cell, by gate.
        scale: factors of the normalized products, by gate.
        bias: biases of the scaled products, by gate.
        state_scale, state_offset: factor and offset of a normalized state, or None.
    """

    own: dict[str, Any] = dataclasses.field(default_factory=dict)
    per_unit: dict[str, Any] = dataclasses.field(default_factory=dict)
    scale: dict[str, Any] = dataclasses.field(default_factory=dict)
    bias: dict[str, Any] = dataclasses.field(default_factory=dict)
    state_scale: Any = None
    state_offset: Any = None


@dataclasses.dataclass
class StepContext:
    """All that a step depends on besides its states, gates and vectors.

    Tensors of one step are `(batch, width)`; those of all steps `(time, batch, width)`.

    Attributes:
        valid: boolean `(batch, 1)`: where it is False the states stay as they are.
            None: there is no such step.
        recurrent: random mask on the vector that `recurrent_kernel` multiplies, or
            None.
        update: random mask on the new content of the state, or None.
        zoneout: by state, random masks that are True where it keeps its old value.
        moving: by scope ("inputs", "recurrent", "state"), the moving averages that
            replace the moments of the batch, `(1, 2 * width)`.
        noted: a dict that the step records moments in, or None.
    """

    valid: Any = None
    recurrent: Any = None
    update: Any = None
    zoneout: dict[str, Any] = dataclasses.field(default_factory=dict)
    moving: dict[str, Any] = dataclasses.field(default_factory=dict)
    noted: dict[str, Any] | None = None

    def beside(self, other: StepContext) -> StepContext:
        """The fields of this context and of another one, which sets other fields."""
        return StepContext(
            other.valid if self.valid is None else self.valid,
            other.recurrent if self.recurrent is None else self.recurrent,
            other.update if self.update is None else self.update,
            self.zoneout or other.zoneout,
            self.moving or other.moving,
            other.noted if self.noted is None else self.noted,
        )


@dataclasses.dataclass
class DrawnMasks:
    """The random masks of one call.

    Attributes:
        weights: masks on weights, by the name of the weight.
        inputs: mask on the inputs, `(batch, features)` or `(batch, time, features)`, or
            None.
        whole: masks of the whole sequence, `(batch, width)`.
        by_step: masks drawn for every step, `(batch, time, width)`.
    """

    weights: dict[str, Any] = dataclasses.field(default_factory=dict)
    inputs: Any = None
    whole: StepContext = dataclasses.field(default_factory=StepContext)
    by_step: StepContext = dataclasses.field(default_factory=StepContext)
