"""The tensors of a call, and of a loop over time, by name."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from keras_rnnx.cells._base.tensors import StepContext, StepVectors
from keras_rnnx.engine.backends.protocol import (
    DType,
    Shape,
    Tensor,
    Tree,
)

# The gradient of what no loss is differentiated with respect to, such as masks.
NO_GRADIENT: Tree = None


@dataclasses.dataclass
class SequenceTensors:
    """The tensors that a call of an engine computes from.

    Attributes:
        sequences: the inputs, `(batch, time, features)`.
        states: before the first step, by name, each `(batch, width)`.
        weights: of the cell, by name.
        vectors: of the cell.
        input_mask: random mask on the inputs, `(batch, features)`, or None.
        whole: random masks of the whole sequence.
        by_step: the mask, random masks and moving averages of each step, `(batch, time,
            width)`.
    """

    sequences: Tensor
    states: dict[str, Tensor]
    weights: dict[str, Tensor]
    vectors: StepVectors
    input_mask: Tensor | None = None
    whole: StepContext = dataclasses.field(default_factory=StepContext)
    by_step: StepContext = dataclasses.field(default_factory=StepContext)


@dataclasses.dataclass
class LoopTensors:
    """The tensors that a loop over time computes from. Time comes first.

    Attributes:
        inputs: the input parts by gate, `(time, batch, units)`.
        matrices: the matrices of the products, by gate.
        biases: the biases of the products, by gate.
        vectors: of the cell.
        states: before the first step, by name.
        whole: random masks of the whole sequence, `(batch, width)`.
        by_step: the mask, random masks and moving averages of each step, `(time, batch,
            width)`.
    """

    inputs: dict[str, Tensor]
    matrices: dict[str, Tensor]
    biases: dict[str, Tensor]
    vectors: StepVectors
    states: dict[str, Tensor]
    whole: StepContext
    by_step: StepContext


@dataclasses.dataclass
class LoopGradients:
    """Gradients of `LoopTensors`, under the same names; masks have none."""

    inputs: dict[str, Tensor]
    matrices: dict[str, Tensor]
    biases: dict[str, Tensor]
    vectors: StepVectors | None
    states: dict[str, Tensor]
    whole: None = None
    by_step: None = None


class LoopResults(NamedTuple):
    """The results of a loop over time.

    Attributes:
        outputs: the first state after every step, `(time, batch, width)`, or None if
            not wanted.
        moments: of the batch at every step, by scope, if they are recorded.
        states: after the last step, by name.
    """

    outputs: Tensor
    moments: dict[str, Tensor]
    states: dict[str, Tensor]


class StepOutput:
    """Describes a tensor that each step of a loop returns.

    Args:
        shape: of the tensor of one step. Default: the shape of the first tensor of the
            carry.
        dtype: its dtype. Default: the dtype of that tensor.
        loose: whether only another loop reads it, so that its steps need not be stacked
            into one tensor.
    """

    def __init__(
        self,
        shape: Shape | None = None,
        dtype: DType | None = None,
        loose: bool = False,
    ):
        self.shape, self.dtype, self.loose = shape, dtype, loose
