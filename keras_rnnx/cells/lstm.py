"""Long short-term memory."""

from __future__ import annotations

from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells._lowering import families
from keras_rnnx.cells._lowering.spec import Lowering
from keras_rnnx.cells.registry import register


@register
class LSTMCell(Cell):
    """Long short-term memory.

    A memory cell `c` that is kept, written and read through gates:
    `c' = f c + i tanh(a_c)`, `h' = o tanh(c')` with `i, f, o = sigmoid(a)`.
    Hochreiter & Schmidhuber 1997, Neural Computation 9(8); forget gate: Gers,
    Schmidhuber & Cummins 2000. Weights are those of `keras.layers.LSTMCell`.

    Args:
        units: number of units.
        activation: of candidate and output. Default "tanh".
        recurrent_activation: of the gates. Default "sigmoid".
        unit_forget_bias: start the forget gate's bias at 1. Default True.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(LSTMCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "c")
    gates = ("i", "f", "c", "o")
    memory_gates = {"f": 1, "i": -1}
    feedback_gate = "c"
    options = {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "unit_forget_bias": True,
    }
    paper = (
        Reference("Hochreiter & Schmidhuber", 1997),
        Reference("Gers et al.", 2000),
    )
    use = (
        "For most tasks with long dependencies, unless you have a reason for another "
        "cell: it trains reliably, and every vendor has a kernel for it."
    )

    def update(self, state, gate):
        gated, squashed = self.recurrent_activation, self.activation
        written = gated(gate.i) * gate.drop(squashed(gate.c))
        c = gated(gate.f) * state.c + written
        return State(h=gated(gate.o) * squashed(gate.norm(c)), c=c)

    def lowering(self):
        refused = families.standard(self.activation, self.recurrent_activation)
        return refused or Lowering("lstm")


@register
class CIFGCell(LSTMCell):
    """LSTM with coupled input and forget gates: it writes as much as it forgets.

    `c' = f c + (1 - f) tanh(a_c)`, `h' = o tanh(c')` with `f, o = sigmoid(a)`: one gate
    fewer than an LSTM. Greff, Srivastava, Koutnik, Steunebrink & Schmidhuber 2015,
    arXiv:1503.04069.

    Args:
        units: number of units.
        activation: of candidate and output. Default "tanh".
        recurrent_activation: of the gates. Default "sigmoid".
        unit_forget_bias: start the forget gate's bias at 1. Default True.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(CIFGCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    gates = ("f", "c", "o")
    memory_gates = {"f": 1}
    paper = Reference("Greff et al.", 2015, "1503.04069")
    use = (
        "For an LSTM with a quarter fewer weights. In the paper's study it did about "
        "as well."
    )

    def update(self, state, gate):
        f, o = self.recurrent_activation(gate.f), self.recurrent_activation(gate.o)
        c = f * state.c + (1 - f) * gate.drop(self.activation(gate.c))
        return State(h=o * self.activation(gate.norm(c)), c=c)

    def lowering(self):
        refused = families.standard(self.activation, self.recurrent_activation)
        return refused or Lowering(
            "lstm",
            lambda w: {"i": -w.f, "f": w.f, "c": w.c, "o": w.o},
            says="input gate tied to the forget gate",
        )
