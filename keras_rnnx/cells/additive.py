"""Gated cells whose candidate depends on the inputs alone."""

from __future__ import annotations

from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.default_initializers import constant, per_gate
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells._lowering import families
from keras_rnnx.cells.lstm import LSTMCell
from keras_rnnx.cells.registry import register


@register(name="ran")
class RANCell(Cell):
    """Recurrent additive network: its memory is a weighted sum of the inputs.

    `c' = i (W_c x) + f c`, `h' = tanh(c')` with `i, f = sigmoid(a)`. Lee, Levy &
    Zettlemoyer 2017, arXiv:1705.07393.

    Args:
        units: number of units.
        activation: of the output. Default "tanh".
        recurrent_activation: of the gates. Default "sigmoid".
        unit_forget_bias: start the forget gate's bias at 1. Default False.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(RANCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "c")
    gates = ("i", "f", "c")
    inputs_only = ("c",)
    biases = ("i", "f")
    memory_gates = {"f": 1, "i": -1}
    options = LSTMCell.options | {"unit_forget_bias": False}
    paper = Reference("Lee et al.", 2017, "1705.07393")
    use = (
        "For language tasks in which you want to know what the memory is made of: "
        "the gates show how much each input counts."
    )

    def update(self, state, gate):
        i, f = self.recurrent_activation(gate.i), self.recurrent_activation(gate.f)
        c = i * gate.drop(gate.c) + f * state.c
        return State(h=self.activation(c), c=c)


@register(name="cfn")
class CFNCell(Cell):
    """Chaos-free network: without inputs its state comes to rest at zero.

    `h' = f tanh(h) + i tanh(W_c x)` with `f, i = sigmoid(a)`. Laurent & von Brecht
    2016, arXiv:1612.06212.

    Args:
        units: number of units.
        activation: of state and inputs. Default "tanh".
        recurrent_activation: of the gates. Default "sigmoid".
        unit_forget_bias: start the biases of the forget gate at 1 and of the input
            gate at -1. Default True.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(CFNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("f", "i", "c")
    inputs_only = ("c",)
    biases = ("f", "i")
    memory_gates = {"f": 1, "i": -1}
    options = LSTMCell.options
    paper = Reference("Laurent & von Brecht", 2016, "1612.06212")
    use = (
        "For tasks where the state should fade once the inputs end, or where the "
        "dynamics of the network matter: no chaos can arise. The paper reports "
        "results for language models only."
    )

    def update(self, state, gate):
        f, i = self.recurrent_activation(gate.f), self.recurrent_activation(gate.i)
        written = i * gate.drop(self.activation(gate.c))
        return State(h=f * self.activation(state.h) + written)

    def gate_bias_initializer(self, gate):
        start = constant(1.0 if gate == "f" else -1.0)
        return start if self.unit_forget_bias else self.bias_initializer


@register
class MinimalRNNCell(Cell):
    """Inputs are embedded, and one gate mixes them into the state.

    `h' = f h + (1 - f) z` with `z = tanh(W x + b_z)`, `f = sigmoid(U_f h + U_m z +
    b_f)`. Chen 2017, arXiv:1711.06788.

    Args:
        units: number of units.
        activation: of the embedded inputs. Default "tanh".
        recurrent_activation: of the gate. Default "sigmoid".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(MinimalRNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("z", "f", "m")
    inputs_only = ("z",)
    states_only = ("f", "m")
    late = ("m",)
    memory_gates = {"f": 1}
    options = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    paper = Reference("Chen", 2017, "1711.06788")
    use = (
        "For small models that train well over long sequences: the state is an "
        "average of embedded inputs, with a single gate."
    )

    def update(self, state, gate):
        z = self.activation(gate.z)
        f = self.recurrent_activation(gate.f + gate.u.m(z))
        return State(h=f * state.h + (1 - f) * gate.drop(z))

    def lowering(self):
        return families.sigmoid_gates(self.recurrent_activation) or families.embedded(
            self.activation, candidate="z", gate="f", of_candidate="m"
        )


@register(name="atr")
class ATRCell(Cell):
    """Addition-subtraction twin-gated network: both gates from two products.

    `h' = sigmoid(p + q) p + sigmoid(p - q) h` with `p = W x + b`, `q = U h`. Zhang,
    Xiong, Su, Lin & Zhang 2018, arXiv:1810.12546.

    Args:
        units: number of units.
        recurrent_activation: of the gates. Default "sigmoid".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(ATRCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("h",)
    split = ("h",)
    options = {"recurrent_activation": "sigmoid"}
    paper = Reference("Zhang et al.", 2018, "1810.12546")
    use = (
        "For translation, as in the paper, and where a gated cell must have no "
        "more weights than a simple network. Its state is not bounded: clip the "
        "gradients."
    )

    def update(self, state, gate):
        p, q = gate.x.h, gate.u.h
        i, f = self.recurrent_activation(p + q), self.recurrent_activation(p - q)
        return State(h=i * gate.drop(p) + f * state.h)


@register(name="star")
class STARCell(Cell):
    """Stackable recurrent cell: gradients keep their size over depth and time.

    `h' = tanh((1 - k) h + k tanh(W_z x + b_z))` with `k = sigmoid(a_k)`. Turkoglu,
    D'Aronco, Wegner & Schindler 2021, arXiv:1911.11033.

    Args:
        units: number of units.
        activation: of state and inputs. Default "tanh".
        recurrent_activation: of the gate. Default "sigmoid".
        kernel_initializer: of `kernel`. Default orthogonal for each of its two blocks,
            as in the authors' code.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(STARCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("k", "z")
    inputs_only = ("z",)
    memory_gates = {"k": -1}
    options = MinimalRNNCell.options | {
        "kernel_initializer": per_gate(k="orthogonal", z="orthogonal")
    }
    paper = Reference("Turkoglu et al.", 2021, "1911.11033")
    use = (
        "For deep stacks of recurrent layers, through which its gradients pass; "
        "it has well under half of the weights of an LSTM."
    )

    def update(self, state, gate):
        k = self.recurrent_activation(gate.k)
        mixed = (1 - k) * state.h + k * gate.drop(self.activation(gate.z))
        return State(h=self.activation(mixed))
