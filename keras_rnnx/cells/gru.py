"""Gated recurrent unit."""

from __future__ import annotations

from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells._lowering import families
from keras_rnnx.cells.registry import register


@register
class GRUCell(Cell):
    """Gated recurrent unit.

    `h' = z h + (1 - z) g` with `z, r = sigmoid(a)`. With `reset_after` the candidate is
    `g = tanh(W_h x + b_h + r (U_h h + b_r))` (Cho et al. 2014, arXiv:1406.1078v1, and
    cuDNN), without it `g = tanh(W_h x + U_h (r h) + b_h)` (v3). Weights are those of
    `keras.layers.GRUCell`.

    Args:
        units: number of units.
        activation: of the candidate. Default "tanh".
        recurrent_activation: of the gates. Default "sigmoid".
        reset_after: whether the reset gate acts after the recurrent product. Default
            True.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(GRUCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("z", "r", "h")
    memory_gates = {"z": 1}
    feedback_gate = "h"
    options = {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "reset_after": True,
    }
    paper = Reference("Cho et al.", 2014, "1406.1078")
    use = (
        "For the tasks of an LSTM, with a quarter fewer weights; neither is better "
        "in general. Keep `reset_after=True` for the vendors' kernels."
    )

    def configure(self):
        self.recurrent_bias = bool(self.reset_after)
        self.split, self.late = (("h",), ()) if self.reset_after else ((), ("h",))

    def update(self, state, gate):
        z = self.recurrent_activation(gate.z)
        r = self.recurrent_activation(gate.r)
        u = r * gate.u.h if self.reset_after else gate.u.h(r * state.h)
        candidate = gate.drop(self.activation(gate.x.h + u))
        return State(h=candidate + z * (state.h - candidate))

    def lowering(self):
        if not self.reset_after:
            return "reset_after=False multiplies by U in the middle of a step"
        return families.sigmoid_gates(self.recurrent_activation) or families.gated(
            self.activation, lambda w: {"z": w.z, "r": w.r, "h": w.h}
        )
