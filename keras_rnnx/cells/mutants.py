"""Cells that an evolutionary search found."""

from __future__ import annotations

from keras import ops

from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells.registry import register


class _Mutant:
    """Shared by the three cells MUT1, MUT2 and MUT3."""

    states = ("h",)
    memory_gates = {"z": -1}
    options = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    paper = Reference("Jozefowicz et al.", 2015)
    use = (
        "For comparison with GRU and LSTM, from which the search started. It is not "
        "a common choice, and its products one after the other make it slower than "
        "a GRU."
    )


@register(name="mut1")
class MUT1Cell(_Mutant, Cell):
    """The first of the three cells of an evolutionary search.

    `h' = z tanh(U_h (r h) + tanh(W_i x) + b_h) + (1 - z) h` with
    `z = sigmoid(W_z x + b_z)`, `r = sigmoid(a_r)`. The paper has `tanh(x)`, where `x`
    is as wide as the state; here `W_i` projects `x`. Jozefowicz, Zaremba & Sutskever
    2015, ICML.

    Args:
        units: number of units.
        activation: of the candidate. Default "tanh".
        recurrent_activation: of the gates. Default "sigmoid".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(MUT1Cell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    gates = ("z", "r", "i", "h")
    inputs_only = ("z", "i")
    states_only = ("h",)
    late = ("h",)
    biases = ("z", "r", "h")

    def update(self, state, gate):
        z, r = self.recurrent_activation(gate.z), self.recurrent_activation(gate.r)
        u = gate.u.h(r * state.h)
        candidate = self.activation(u + self.activation(gate.i))
        return State(h=z * gate.drop(candidate) + (1 - z) * state.h)


@register(name="mut2")
class MUT2Cell(_Mutant, Cell):
    """The second of the three cells of an evolutionary search.

    `h' = z tanh(U_h (r h) + W_h x + b_h) + (1 - z) h` with `z, r = sigmoid(a)`. In the
    paper `r` sees `x` itself, which is as wide as the state; here it sees a projection
    of `x`. Jozefowicz, Zaremba & Sutskever 2015, ICML.

    Args:
        units: number of units.
        activation: of the candidate. Default "tanh".
        recurrent_activation: of the gates. Default "sigmoid".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(MUT2Cell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    gates = ("z", "r", "h")
    late = ("h",)

    def update(self, state, gate):
        z, r = self.recurrent_activation(gate.z), self.recurrent_activation(gate.r)
        candidate = self.activation(gate.u.h(r * state.h) + gate.x.h)
        return State(h=z * gate.drop(candidate) + (1 - z) * state.h)


@register(name="mut3")
class MUT3Cell(_Mutant, Cell):
    """The third of the three cells of an evolutionary search.

    `h' = z tanh(U_h (r h) + W_h x + b_h) + (1 - z) h` with
    `z = sigmoid(W_z x + U_z tanh(h) + b_z)`, `r = sigmoid(a_r)`. Jozefowicz, Zaremba &
    Sutskever 2015, ICML.

    Args:
        units: number of units.
        activation: of the candidate, and of the state in `z`. Default "tanh".
        recurrent_activation: of the gates. Default "sigmoid".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(MUT3Cell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    gates = ("z", "r", "h")
    late = ("z", "h")

    def update(self, state, gate):
        seen = gate.x.z + gate.u.z(self.activation(state.h))
        z, r = self.recurrent_activation(seen), self.recurrent_activation(gate.r)
        candidate = self.activation(gate.u.h(r * state.h) + gate.x.h)
        return State(h=z * gate.drop(candidate) + (1 - z) * state.h)


@register(name="nas")
class NASCell(Cell):
    """The cell that neural architecture search found for words.

    With `u = W x` and `v = U h + b` for eight gates: `c' = tanh(l1 + c) l2`,
    `h' = tanh(c' tanh(l3 + l4))`, where `l1 = tanh(sigmoid(u1 + v1) relu(u2 + v2))`,
    `l2 = tanh(sigmoid(u3 + v3) + relu(u4 v4))`,
    `l3 = tanh(tanh(u5 + v5) sigmoid(u6 + v6))`,
    `l4 = sigmoid(tanh(u7 + v7) + sigmoid(u8 + v8))`. Zoph & Le 2017, arXiv:1611.01578.

    Args:
        units: number of units.
        use_bias: whether the gates have biases. Default False.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(NASCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "c")
    gates = ("g1", "g2", "g3", "g4", "g5", "g6", "g7", "g8")
    split = ("g4",)
    bias_part = "recurrent"
    options = {"use_bias": False}
    paper = Reference("Zoph & Le", 2017, "1611.01578")
    use = (
        "For language models, for which the search was made. It has twice the "
        "weights of an LSTM of the same size and many operations in a step."
    )

    def update(self, state, gate):
        l1 = ops.tanh(ops.sigmoid(gate.g1) * ops.relu(gate.g2))
        l2 = ops.tanh(ops.sigmoid(gate.g3) + ops.relu(gate.x.g4 * gate.u.g4))
        l3 = ops.tanh(ops.tanh(gate.g5) * ops.sigmoid(gate.g6))
        l4 = ops.sigmoid(ops.tanh(gate.g7) + ops.sigmoid(gate.g8))
        c = ops.tanh(gate.drop(l1) + state.c) * l2
        return State(h=ops.tanh(c * ops.tanh(l3 + l4)), c=c)
