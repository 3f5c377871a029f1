"""Gated units smaller than a GRU."""

from __future__ import annotations

from keras_rnnx.cells._base.arguments import number
from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells._lowering import families
from keras_rnnx.cells._lowering.spec import OPEN
from keras_rnnx.cells.ranges import Uniform
from keras_rnnx.cells.registry import register


@register
class UGRNNCell(Cell):
    """Update gate network: `h' = g h + (1 - g) tanh(a_c)` with `g = sigmoid(a_g)`.

    Collins, Sohl-Dickstein & Sussillo 2017, arXiv:1611.09913.

    Args:
        units: number of units.
        activation: of the candidate. Default "tanh".
        recurrent_activation: of the gate. Default "sigmoid".
        unit_forget_bias: start the gate's bias at 1, so that states are kept. Default
            True.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(UGRNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("g", "c")
    memory_gates = {"g": 1}
    options = {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "unit_forget_bias": True,
    }
    paper = Reference("Collins et al.", 2017, "1611.09913")
    use = (
        "For a gated cell with half of the weights of an LSTM that runs on the "
        "vendors' kernels. A GRU is the safer choice where size does not matter."
    )

    def update(self, state, gate):
        candidate = gate.drop(self.activation(gate.c))
        g = self.recurrent_activation(gate.g)
        return State(h=candidate + g * (state.h - candidate))

    def lowering(self):
        return families.sigmoid_gates(self.recurrent_activation) or families.gated(
            self.activation,
            lambda w: {"z": w.g, "r": w.held(OPEN), "h": w.c},
            says="reset gate held open",
        )


@register
class JANETCell(Cell):
    """Just another network: an LSTM that keeps only the forget gate.

    `h' = sigmoid(s) h + (1 - sigmoid(s - beta)) tanh(a_c)` with `s = a_f`.
    van der Westhuizen & Lasenby 2018, arXiv:1804.04849.

    Args:
        units: number of units.
        activation: of the candidate. Default "tanh".
        recurrent_activation: of the gate. Default "sigmoid".
        beta: how much more is written than forgotten. At 0 the two are coupled, and
            the cell runs on vendor kernels. Default 1.0.
        unit_forget_bias: start the forget gate's bias at 1. Default True.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(JANETCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("f", "c")
    memory_gates = {"f": 1}
    options = {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "beta": 1.0,
        "unit_forget_bias": True,
    }
    search = {"beta": Uniform(0.0, 2.0)}
    lowering_values = {"beta": (0.0,)}
    paper = Reference("van der Westhuizen & Lasenby", 2018, "1804.04849")
    use = (
        "For long memories with half of the weights of an LSTM; the paper starts "
        "its biases for the expected length (`keras_rnnx.initializers.Chrono`)."
    )

    def configure(self):
        self.beta = number("beta", self.beta)

    def update(self, state, gate):
        forget = self.recurrent_activation(gate.f)
        write = 1 - self.recurrent_activation(gate.f - self.beta)
        candidate = gate.drop(self.activation(gate.c))
        return State(h=forget * state.h + write * candidate)

    def lowering(self):
        if self.beta:
            return (
                f"beta={self.beta} forgets and writes by different amounts; "
                f"beta=0 couples them"
            )
        return families.sigmoid_gates(self.recurrent_activation) or families.gated(
            self.activation,
            lambda w: {"z": w.f, "r": w.held(OPEN), "h": w.c},
            says="reset gate held open",
        )


@register
class MGUCell(Cell):
    """Minimal gated unit: a GRU with one gate for both.

    `h' = (1 - f) h + f tanh(W x + U (f h) + b)` with `f = sigmoid(a_f)`. With
    `reset_after` the candidate is `tanh(W x + b + f (U h))`. Zhou, Wu, Zhang & Zhou
    2016, arXiv:1603.09420.

    Args:
        units: number of units.
        activation: of the candidate. Default "tanh".
        recurrent_activation: of the gate. Default "sigmoid".
        reset_after: whether the gate acts after the recurrent product: not the paper's
            equation, but one that runs on vendor kernels. Default False.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(MGUCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("f", "h")
    memory_gates = {"f": -1}
    options = {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "reset_after": False,
    }
    paper = Reference("Zhou et al.", 2016, "1603.09420")
    use = (
        "For a GRU with a third fewer weights. With `reset_after=True` it runs on "
        "the vendors' kernels."
    )

    def configure(self):
        self.split, self.late = (("h",), ()) if self.reset_after else ((), ("h",))

    def update(self, state, gate):
        f = self.recurrent_activation(gate.f)
        u = f * gate.u.h if self.reset_after else gate.u.h(f * state.h)
        candidate = gate.drop(self.activation(gate.x.h + u))
        return State(h=state.h + f * (candidate - state.h))

    def lowering(self):
        if not self.reset_after:
            return "reset_after=False multiplies by U in the middle of a step"
        return families.sigmoid_gates(self.recurrent_activation) or families.gated(
            self.activation,
            lambda w: {"z": -w.f, "r": w.f, "h": w.h},
            says="update gate tied to the reset gate",
        )


@register(name="mgu2")
class MGU2Cell(Cell):
    """Minimal gated unit whose gate sees the state alone.

    `h' = (1 - f) h + f tanh(W x + U (f h) + b)` with `f = sigmoid(U_f h)`. Heck & Salem
    2017, arXiv:1701.03452.

    Args:
        units: number of units.
        activation: of the candidate. Default "tanh".
        recurrent_activation: of the gate. Default "sigmoid".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(MGU2Cell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("f", "h")
    states_only = ("f",)
    late = ("h",)
    biases = ("h",)
    options = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    paper = Reference("Heck & Salem", 2017, "1701.03452")
    use = (
        "For models in which every weight counts. `MGUCell`, whose gate sees the "
        "inputs too, is the safer choice."
    )

    def update(self, state, gate):
        f = self.recurrent_activation(gate.f)
        candidate = gate.drop(self.activation(gate.x.h + gate.u.h(f * state.h)))
        return State(h=(1 - f) * state.h + f * candidate)


@register
class LiGRUCell(Cell):
    """Light GRU: without a reset gate, and with rectifiers.

    `h' = z h + (1 - z) relu(a_h)` with `z = sigmoid(a_z)`. The paper adds batch
    normalization to the inputs' part; `batch_norm=True` normalizes both parts.
    Ravanelli, Brakel, Omologo & Bengio 2018, arXiv:1803.10225.

    Args:
        units: number of units.
        activation: of the candidate. Default "relu".
        recurrent_activation: of the gate. Default "sigmoid".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(LiGRUCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("z", "h")
    memory_gates = {"z": 1}
    options = {"activation": "relu", "recurrent_activation": "sigmoid"}
    paper = Reference("Ravanelli et al.", 2018, "1803.10225")
    use = (
        "For speech, as in the paper, with `batch_norm=True`: without it "
        "rectified states can grow over long sequences."
    )

    def update(self, state, gate):
        z = self.recurrent_activation(gate.z)
        return State(h=z * state.h + (1 - z) * gate.drop(self.activation(gate.h)))

    def lowering(self):
        return families.sigmoid_gates(self.recurrent_activation) or families.gated(
            self.activation,
            lambda w: {"z": w.z, "r": w.held(OPEN), "h": w.h},
            says="reset gate held open",
        )


@register
class LightRUCell(Cell):
    """Light recurrent unit: one gate, and a candidate that doesn't see the state.

    `h' = (1 - f) h + f tanh(W_c x)` with `f = sigmoid(a_f)`. Ye, Zhang, Liu, Li, Chang
    & Zheng 2024, Electronics 13(16), 3204.

    Args:
        units: number of units.
        activation: of the candidate. Default "tanh".
        recurrent_activation: of the gate. Default "sigmoid".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(LightRUCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("f", "c")
    inputs_only = ("c",)
    biases = ("f",)
    memory_gates = {"f": -1}
    options = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    paper = Reference("Ye et al.", 2024)
    use = (
        "For a gated cell with a third of the weights of an LSTM, whose gate sees the "
        "state. `MinGRUCell`, whose gate doesn't, is faster on long sequences."
    )

    def update(self, state, gate):
        f = self.recurrent_activation(gate.f)
        candidate = gate.drop(self.activation(gate.c))
        return State(h=(1 - f) * state.h + f * candidate)

    def lowering(self):
        return families.sigmoid_gates(self.recurrent_activation) or families.gated(
            self.activation,
            lambda w: {"z": -w.f, "r": w.held(OPEN), "h": w.c},
            says="reset gate held open, no recurrent product in the candidate",
        )
