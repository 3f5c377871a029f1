"""How a vendor's kernel computes a cell exactly.

cuDNN and torch's CPU kernels compute five recurrences over a whole sequence. Many other
cells equal one of these if gates are tied or held constant, units repeated, or the
state scaled. A cell says so in `Cell.lowering`; every kernel of every backend can then
run it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_rnnx.cells._base.values import Vectors

# The recurrences, by their gates. With `a_k = W_k x + b_k + U_k h + b'_k`:
#   lstm: c' = sigmoid(a_f) c + sigmoid(a_i) tanh(a_c), h' = sigmoid(a_o) tanh(c')
#   gru: h' = z h + (1 - z) tanh(W_h x + b_h + sigmoid(a_r) (U_h h + b'_h)),
#        z = sigmoid(a_z)
#   rnn_tanh: h' = tanh(a_h); rnn_relu: h' = max(a_h, 0)
#   lstmp: the lstm with h' = P (sigmoid(a_o) tanh(c')), narrower than c', where P is
#        the cell's `projection_kernel`
KERNELS = {
    "lstm": ("i", "f", "c", "o"),
    "lstmp": ("i", "f", "c", "o"),
    "gru": ("z", "r", "h"),
    "rnn_tanh": ("h",),
    "rnn_relu": ("h",),
}
# The sigmoid of this is 1.0 in every precision.
OPEN = 40.0


@dataclasses.dataclass(frozen=True)
class GateWeights:
    """The weights of one gate.

    Attributes:
        kernel: `(features, units)`.
        recurrent_kernel: `(width of the output, units)`.
        bias: `(units,)`, of the input part.
        recurrent_bias: `(units,)`, of the recurrent part.
    """

    kernel: Any
    recurrent_kernel: Any
    bias: Any
    recurrent_bias: Any

    def __mul__(self, factor: Any) -> GateWeights:
        """Weights that multiply the gate's pre-activation by `factor`."""
        return GateWeights(*(factor * getattr(self, f) for f in FIELDS))

    __rmul__ = __mul__

    def __neg__(self) -> GateWeights:
        return -1.0 * self


FIELDS = [field.name for field in dataclasses.fields(GateWeights)]


class Weights:
    """All weights of a cell: `w.f` are the `GateWeights` of the gate `f`.

    Attributes:
        vector: what `Cell.coefficients` returned, by name.
    """

    def __init__(self, gates: dict[str, GateWeights], vectors: dict[str, Any]):
        self._gates = gates
        self.vector = Vectors(**vectors)

    def __getattr__(self, name: str) -> GateWeights:
        if name.startswith("_") or name not in self._gates:
            raise AttributeError(f"The cell has no gate {name!r}: {list(self._gates)}.")
        return self._gates[name]

    def held(self, logit: Any) -> GateWeights:
        """A gate with the constant value `sigmoid(logit)`.

        Args:
            logit: a number, or one for each unit.
        """
        like = next(iter(self._gates.values()))
        zeros = {f: ops.zeros_like(getattr(like, f)) for f in FIELDS}
        return GateWeights(**zeros | {"bias": zeros["bias"] + logit})

    def of(self, scale: Any, shift: Any) -> Weights:
        """The weights of the same gates for the state `g`, `h = scale * g + shift`."""

        def changed(gate: GateWeights) -> GateWeights:
            rows = ops.reshape(scale * ops.ones_like(gate.bias), (-1, 1))
            moved = ops.sum(shift * gate.recurrent_kernel, axis=0)
            return dataclasses.replace(
                gate,
                recurrent_kernel=rows * gate.recurrent_kernel,
                recurrent_bias=gate.recurrent_bias + moved,
            )

        gates = {name: changed(gate) for name, gate in self._gates.items()}
        return Weights(gates, vars(self.vector))


def _same_gates(weights: Weights) -> dict[str, GateWeights]:
    return dict(weights._gates)


def _same_states(states: list[Any], weights: Weights) -> list[Any]:
    return states


def _same_sequence(sequence: Any, states: list[Any], weights: Weights) -> Any:
    return sequence


@dataclasses.dataclass(frozen=True)
class Lowering:
    """Which kernel computes a cell, and how weights, states and outputs map.

    All maps are differentiable, so that the weights they read are learned.

    Attributes:
        kernel: "lstm", "lstmp", "gru", "rnn_tanh" or "rnn_relu".
        gates: from the `Weights` of the cell to the `GateWeights` of the kernel by
            gate, as in `KERNELS`. Default: the same gates.
        inputs: from inputs `(batch, time, features)`, initial states and `Weights` to
            the inputs of the kernel. Default: the same.
        states: from initial states and `Weights` to those of the kernel.
        outputs: from the kernel's outputs `(batch, time, kernel's units)`, initial
            states and `Weights` to the first state of the cell at each step. Other
            states are the kernel's own.
        width: units of the kernel for each unit of the cell.
        says: in words, how the kernel computes the cell.
        half: whether half precision is as exact as in the cell's own equation.
        zoneout: whether it includes the expected value of zoneout.
    """

    kernel: str
    gates: Callable[[Weights], dict[str, GateWeights]] = _same_gates
    inputs: Callable[[Any, list, Weights], Any] = _same_sequence
    states: Callable[[list, Weights], list] = _same_states
    outputs: Callable[[Any, list, Weights], Any] = _same_sequence
    width: int = 1
    says: str = ""
    half: bool = True
    zoneout: bool = False

    @property
    def work(self) -> int:
        """Matrix products in a step of the kernel, in units of one of the cell's."""
        return len(KERNELS[self.kernel]) * self.width**2

    @property
    def direct(self) -> bool:
        """Whether inputs, states and outputs of the kernel are those of the cell."""
        maps = (self.inputs, self.states, self.outputs)
        return maps == (_same_sequence, _same_states, _same_sequence)

    @property
    def plain(self) -> bool:
        """Whether the cell is the kernel, with the same weights and states."""
        return self == Lowering(self.kernel)
