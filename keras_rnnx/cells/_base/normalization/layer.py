"""Normalization inside of a recurrent cell."""

from __future__ import annotations

import functools
import operator
from typing import Any

import keras
from keras import ops

EPSILON = 1e-5
# Among what is given to a step: where moments are noted.
NOTED = "noted moments"


class Normalization:
    """Base of what normalizes both parts of the pre-activations.

    `a = N(W x) + N(U h) + b`, and the cell state inside of the output, where the
    equation says `gate.norm(c)`. The state that is carried on is not normalized. A
    subclass has `argument`, `scale` and `standardized`.

    Args:
        cell: the cell.

    Attributes:
        argument: of the cell, that asks for it.
        scale: where the weights behind the normalization start.
        by_step: names of tensors that a step needs at inference.
        notes_moments: whether the moments of every step of training are noted.
        states: how often the equation normalizes a state.
    """

    argument: str
    scale: float
    by_step: tuple[str, ...] = ()
    notes_moments: bool = False

    def __init__(self, cell: Any):
        self.cell = cell
        self.states = 0

    def build(self, states: int) -> None:
        """Makes the weights.

        Args:
            states: how often the equation normalizes a state.
        """
        cell, self.states = self.cell, states
        width = len(cell.projected) * cell.units
        for part in ("kernel", "recurrent"):
            self._add(f"{part}_scale", width, self._start)
        if states:
            self._add("state_scale", cell.units, self._start)
            self._add("state_offset", cell.units, "zeros")

    @property
    def _start(self):
        return keras.initializers.Constant(self.scale)

    def _add(self, name, width, initializer):
        weight = self.cell.add_weight(
            shape=(width,), name=name, initializer=initializer
        )
        setattr(self.cell, name, weight)

    @property
    def groups(self) -> list[tuple[str, ...]] | None:
        """The gates whose units are normalized together, sample by sample and alike at
        every step; or None where that is not how moments are taken."""
        return None

    @property
    def tensors(self) -> list[str]:
        """Names of the weights that the inputs' part needs."""
        return ["kernel_scale"]

    @property
    def vectors(self) -> list[str]:
        """Names of the vectors that a step needs, beside those of the equation."""
        names = [f"scale {k}" for k in self.cell.projected]
        names += [f"bias {k}" for k in self.product_biased]
        return names + ["state_scale", "state_offset"] * bool(self.states)

    def coefficients(self) -> dict[str, Any]:
        """These vectors by name, each `(units,)`."""
        cell = self.cell
        scales = self._blocks(cell.recurrent_scale)
        found = {f"scale {k}": v for k, v in scales.items()}
        if self.product_biased:
            bias = ops.convert_to_tensor(cell.bias)
            bias = cell.blocks(bias[1] if cell.recurrent_bias else bias, "bias")
            found |= {f"bias {k}": v for k, v in bias.items()}
        for name in ("state_scale", "state_offset") if self.states else ():
            found[name] = ops.convert_to_tensor(getattr(cell, name))
        return {name: found[name] for name in self.vectors}

    def standardized(
        self, parts: dict[str, Any], scope: str, given: dict[str, Any]
    ) -> dict[str, Any]:
        """Tensors of mean 0 and variance 1.

        Args:
            parts: tensors `(..., batch, units)` by gate, or by "state".
            scope: "inputs", "recurrent" or "state".
            given: what there is for the steps, by name.
        """
        raise NotImplementedError

    def inputs(
        self, x: dict[str, Any], tensors: dict[str, Any], given: dict[str, Any]
    ) -> dict[str, Any]:
        """The inputs' part of every gate, normalized and with its biases.

        Args:
            x: `W_k x` by gate, `(..., units)`.
            tensors: `kernel_scale`, and `bias` where there is one.
            given: what there is for the steps, by name.
        """
        x = self.standardized(x, "inputs", given)
        scales = self._blocks(tensors["kernel_scale"])
        x = {k: x[k] * scales[k] for k in x}
        biases = self.biases(tensors.get("bias"))
        return {k: v + biases[k] if k in biases else v for k, v in x.items()}

    @property
    def product_biased(self) -> tuple[str, ...]:
        """Gates with a bias behind their normalized product, not behind the sum."""
        cell = self.cell
        apart = cell.recurrent_bias or cell.bias_part == "recurrent"
        if not (cell.use_bias and apart):
            return ()
        return tuple(k for k in cell.biased if k in cell.apart)

    @property
    def input_biased(self) -> tuple[str, ...]:
        """Gates with a bias in their inputs' part, or in the sum."""
        cell = self.cell
        apart = () if cell.recurrent_bias else self.product_biased
        return tuple(k for k in cell.biased if k not in apart)

    def biases(self, bias: Any) -> dict[str, Any]:
        """Biases of the inputs' part, or of the sum, by gate.

        Args:
            bias: the weight, or None.
        """
        if bias is None:
            return {}
        cell, apart = self.cell, self.product_biased
        if not cell.recurrent_bias:
            found = cell.blocks(bias, "bias")
            return {k: found[k] for k in self.input_biased}
        first, second = (cell.blocks(bias[i], "bias") for i in range(2))
        return {k: v if k in apart else v + second[k] for k, v in first.items()}

    def step(
        self,
        x: dict[str, Any],
        u: dict[str, Any],
        vectors: dict[str, Any],
        given: dict[str, Any],
    ) -> tuple[dict, dict, dict]:
        """Sums, input parts and recurrent parts, as the equation reads them.

        Args:
            x: what `inputs` returned, by gate.
            u: `U_k h` by gate; for late gates functions of a vector.
            vectors: what `coefficients` returned.
            given: what there is for the step, by name.
        """
        apart, late = self.cell.apart, self.cell.late
        early = {k: u[k] for k in u if k not in late}

        def scaled(k, part):
            part = part * vectors[f"scale {k}"]
            return part + vectors[f"bias {k}"] if f"bias {k}" in vectors else part

        def product(k, vector):
            made = self.standardized({k: u[k](vector)}, "recurrent", given)
            return scaled(k, made[k])

        early = self.standardized(early, "recurrent", given)
        early = {k: scaled(k, v) for k, v in early.items()}
        # A projection is no pre-activation.
        found = early | {
            k: u[k] if k in self.cell.projection else functools.partial(product, k)
            for k in late
        }
        total = {k: x[k] + early[k] for k in x if k not in apart}
        of_inputs = {k: x[k] for k in apart if k in x}
        return total, of_inputs, {k: found[k] for k in apart}

    def state(self, value: Any, vectors: dict[str, Any], given: dict[str, Any]) -> Any:
        """A state normalized, to be read and not to be carried on."""
        value = self.standardized({"state": value}, "state", given)["state"]
        return value * vectors["state_scale"] + vectors["state_offset"]

    def _blocks(self, tensor):
        gates = self.cell.projected
        parts = ops.split(ops.convert_to_tensor(tensor), len(gates), axis=-1)
        return dict(zip(gates, parts))


class LayerNormalization(Normalization):
    """Normalizes over the units of each sample.

    The gates that an equation reads as sums are normalized as one vector, any other
    alone, as in the paper. Ba, Kiros & Hinton 2016, arXiv:1607.06450.
    """

    argument = "layer_norm"
    scale = 1.0

    def standardized(self, parts, scope, given):
        if scope == "state":
            return _standardized(parts)
        found = {}
        for group in self.groups:
            # A late gate comes alone.
            present = {k: parts[k] for k in group if k in parts}
            found |= _standardized(present) if present else {}
        return found

    @property
    def groups(self):
        cell = self.cell
        together = tuple(k for k in cell.projected if k not in cell.apart)
        alone = [(k,) for k in cell.projected if k in cell.apart]
        return [together] * bool(together) + alone


def exact(tensor: Any) -> Any:
    """A tensor in the precision in which moments are taken."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return ops.cast(tensor, "float64" if dtype == "float64" else "float32")


def over_units(values: Any) -> Any:
    """The mean over the last axis, which is kept."""
    # Not `ops.mean`, which computes float64 in float32 on some backends.
    return ops.sum(values, axis=-1, keepdims=True) / values.shape[-1]


def _standardized(parts):
    """Mean 0 and variance 1 over the last axes of all parts together."""
    values = [exact(v) for v in parts.values()]

    def mean(tensors):
        return over_units(functools.reduce(operator.add, tensors)) / len(tensors)

    middle = mean(values)
    values = [v - middle for v in values]
    # The operator, since `ops.rsqrt` computes float64 in float32 on some backends.
    factor = (mean([v * v for v in values]) + EPSILON) ** -0.5
    return {k: ops.cast(v * factor, parts[k].dtype) for k, v in zip(parts, values)}
