"""The base class of normalizations inside of a recurrent cell."""

from __future__ import annotations

import functools
from typing import Any

import keras
from keras import ops

from keras_rnnx.cells._base.layout import LATE
from keras_rnnx.cells._base.tensors import StepContext, StepVectors

EPSILON = 1e-5


class Normalization:
    """Base class: normalizes both parts of the pre-activations, `a = N(W x) + N(U h) +
    b`.

    It also normalizes the cell state inside of the output, where the equation says
    `gate.norm(c)`. The state that goes on to the next step is not normalized. A
    subclass defines `argument`, `scale` and `standardized`.

    Args:
        cell: the cell.

    Attributes:
        argument: the argument of the cell that turns it on.
        scale: first value of the weights that scale the normalized values.
        scopes: the kinds of values with moving averages: none, or "inputs",
            "recurrent" and "state".
        notes_moments: whether training records the moments of every step.
        states: how often the equation normalizes a state.
    """

    argument: str
    scale: float
    scopes: tuple[str, ...] = ()
    notes_moments: bool = False
    # Names of the weights that input parts need.
    tensors = ("kernel_scale",)

    def __init__(self, cell: Any):
        self.cell = cell
        self.states = 0

    def build(self, states: int) -> None:
        """Makes the weights.

        Args:
            states: how often the equation normalizes a state.
        """
        cell, self.states = self.cell, states
        width = len(cell.layout.input_gates) * cell.units
        for part in ("kernel", "recurrent"):
            self._add(f"{part}_scale", width, keras.initializers.Constant(self.scale))
        if states:
            start = keras.initializers.Constant(self.scale)
            self._add("state_scale", cell.units, start)
            self._add("state_offset", cell.units, "zeros")

    def _add(self, name: str, width: int, initializer: Any) -> None:
        weight = self.cell.add_weight(
            shape=(width,), name=name, initializer=initializer
        )
        setattr(self.cell, name, weight)

    @property
    def groups(self) -> list[tuple[str, ...]] | None:
        """Groups of gates whose units are normalized together, for each sample and
        equally at every step; None if the moments are taken in another way."""
        return None

    def add_vectors(self, vectors: StepVectors) -> None:
        """Adds the vectors that a step needs for the normalization."""
        cell = self.cell
        vectors.scale = self._blocks(cell.recurrent_scale)
        bias = None if cell.bias is None else ops.convert_to_tensor(cell.bias)
        vectors.bias = cell.layout.biases(bias)[1]
        if self.states:
            vectors.state_scale = ops.convert_to_tensor(cell.state_scale)
            vectors.state_offset = ops.convert_to_tensor(cell.state_offset)

    def standardized(
        self, parts: dict[str, Any], scope: str, context: StepContext
    ) -> dict[str, Any]:
        """Tensors of mean 0 and variance 1.

        Args:
            parts: tensors `(..., batch, units)` by gate, or by "state".
            scope: "inputs", "recurrent" or "state".
            context: of the steps.
        """
        raise NotImplementedError

    def inputs(
        self, x: dict[str, Any], weights: dict[str, Any], context: StepContext
    ) -> dict[str, Any]:
        """The input part of every gate, normalized and with its bias.

        Args:
            x: `W_k x` by gate, `(..., units)`.
            weights: `kernel_scale`, and `bias` where there is one.
            context: of the steps.
        """
        x = self.standardized(x, "inputs", context)
        scales = self._blocks(weights["kernel_scale"])
        biases, _ = self.cell.layout.biases(weights.get("bias"))
        x = {k: x[k] * scales[k] for k in x}
        return {k: v + biases[k] if k in biases else v for k, v in x.items()}

    def products(
        self, products: dict[str, Any], vectors: StepVectors, context: StepContext
    ) -> dict[str, Any]:
        """The products of all gates, normalized and with their biases.

        Args:
            products: `U_k h` by gate; for late gates functions of a vector.
            vectors: those of the cell.
            context: of the step.
        """
        gates = self.cell.layout.gates

        def scaled(k: str, part: Any) -> Any:
            part = part * vectors.scale[k]
            return part + vectors.bias[k] if k in vectors.bias else part

        def late(k: str, vector: Any) -> Any:
            normalized = self.standardized(
                {k: products[k](vector)}, "recurrent", context
            )
            return scaled(k, normalized[k])

        early = {k: u for k, u in products.items() if gates[k].reads != LATE}
        if early:
            early = self.standardized(early, "recurrent", context)
        result = {k: scaled(k, u) for k, u in early.items()}
        for k in products:
            if k not in result:
                # A projection is not a pre-activation.
                projects = gates[k].matrix == "projection_kernel"
                result[k] = products[k] if projects else functools.partial(late, k)
        return result

    def state(self, value: Any, vectors: StepVectors, context: StepContext) -> Any:
        """A normalized state, for the output; the next step gets the state itself."""
        value = self.standardized({"state": value}, "state", context)["state"]
        return value * vectors.state_scale + vectors.state_offset

    def _blocks(self, tensor: Any) -> dict[str, Any]:
        return self.cell.layout.blocks(ops.convert_to_tensor(tensor), "kernel")


def exact(tensor: Any) -> Any:
    """A tensor in the precision in which moments are taken."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return ops.cast(tensor, "float64" if dtype == "float64" else "float32")


def over_units(values: Any) -> Any:
    """The mean over the last axis, which is kept."""
    # Not `ops.mean`, which computes float64 in float32 on some backends.
    return ops.sum(values, axis=-1, keepdims=True) / values.shape[-1]
