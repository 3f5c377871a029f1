"""Cells that are linear in their state, with gates that read the inputs alone."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx._numbers import integer
from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.default_initializers import per_gate, scaled, uniform
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells.ranges import Boolean, Int, Uniform
from keras_rnnx.cells.registry import register


@keras.saving.register_keras_serializable("keras_rnnx")
def positive(value: Any) -> Any:
    """`value + 0.5` above zero, its logistic function below: never negative.

    Feng et al. 2024, arXiv:2410.01201, for candidates.
    """
    return ops.where(value >= 0, value + 0.5, ops.sigmoid(value))


@register
class MinGRUCell(Cell):
    """GRU without the recurrence in its gates.

    `h' = (1 - z) h + z g(W_h x + b_h)` with `z = sigmoid(W_z x + b_z)`, where `g(v)` is
    `v + 0.5` for `v >= 0` and `sigmoid(v)` below. Feng, Tung, Ahmed, Bengio &
    Hajimirsadeghi 2024, arXiv:2410.01201.

    Args:
        units: number of units.
        activation: of the candidate. Default `g`; "linear" is the paper's first form.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(MinGRUCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("z", "h")
    inputs_only = ("z", "h")
    linear = ("h",)
    memory_gates = {"z": -1}
    options = {"activation": positive}
    paper = Reference("Feng et al.", 2024, "2410.01201")
    use = (
        "For long sequences and fast training: a scan over time computes it. Its "
        "gates see the inputs alone, so that complex dependencies need two layers "
        "or more."
    )

    def update(self, state, gate):
        z = ops.sigmoid(gate.z)
        return State(h=(1 - z) * state.h + z * gate.drop(self.activation(gate.h)))


@register
class MinLSTMCell(Cell):
    """LSTM without the recurrence in its gates.

    `h' = (f h + i g(W_h x + b_h)) / (f + i)` with `f, i = sigmoid(W x + b)`, where
    `g(v)` is `v + 0.5` for `v >= 0` and `sigmoid(v)` below. Feng, Tung, Ahmed, Bengio &
    Hajimirsadeghi 2024, arXiv:2410.01201.

    Args:
        units: number of units.
        activation: of the candidate. Default `g`; "linear" is the paper's first form.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(MinLSTMCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("f", "i", "h")
    inputs_only = ("f", "i", "h")
    linear = ("h",)
    memory_gates = {"f": 1, "i": -1}
    gates_compete = True
    options = {"activation": positive}
    paper = Reference("Feng et al.", 2024, "2410.01201")
    use = (
        "For long sequences and fast training: a scan over time computes it. Its "
        "gates see the inputs alone, so that complex dependencies need two layers "
        "or more."
    )

    def update(self, state, gate):
        # f / (f + i) by the difference of logarithms: both gates may underflow.
        f = ops.sigmoid(ops.softplus(-gate.i) - ops.softplus(-gate.f))
        return State(h=f * state.h + (1 - f) * gate.drop(self.activation(gate.h)))


_HALF = scaled(0.5, "uniform")
_SRU_START = per_gate(c=scaled(1, "uniform"), f=_HALF, r=_HALF, s=scaled(3, "uniform"))


@register(name="sru")
class SRUCell(Cell):
    """Simple recurrent unit: no product with the state, and a highway around it.

    `c' = f c + (1 - f) W_c x`, `h' = r c' + (1 - r) alpha W_s x` with
    `f = sigmoid(W_f x + p_f c + b_f)`, `r = sigmoid(W_r x + p_r c + b_r)`. In the
    paper the highway takes `x` itself where it is as wide as the state. Lei, Zhang,
    Wang, Dai & Artzi 2018, arXiv:1709.02755.

    Args:
        units: number of units.
        recurrent_activation: of the gates. Default "sigmoid".
        peepholes: whether the gates see the state; without them the cell is linear and
            faster. Default True.
        alpha: scale of the highway. Default 1.0.
        kernel_initializer: of `kernel`. Default uniform with a variance over the number
            of features of 1 for `W_c`, of 0.5 for the gates, and of 3 for `W_s`: the
            paper's scale of the highway, put into its first weights, as in the
            authors' code. Peepholes start uniform up to `sqrt(1.5)` there and here.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(SRUCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "c")
    gates = ("c", "f", "r", "s")
    inputs_only = ("c", "f", "r", "s")
    biases = ("f", "r")
    vectors = dict.fromkeys(
        ("peephole_f", "peephole_r"), uniform(-(1.5**0.5), 1.5**0.5)
    )
    memory_gates = {"f": 1}
    options = {
        "recurrent_activation": "sigmoid",
        "peepholes": True,
        "alpha": 1.0,
        "kernel_initializer": _SRU_START,
    }
    search = {"peepholes": Boolean(), "alpha": Uniform(0.5, 2.0)}
    paper = Reference("Lei et al.", 2018, "1709.02755")
    use = (
        "For fast training of deep stacks on text: all products are with inputs. "
        "With `peepholes=False` a scan over time computes it."
    )

    def configure(self):
        self.linear = () if self.peepholes else ("c",)
        self.vectors = SRUCell.vectors if self.peepholes else {}

    def update(self, state, gate, vector=None):
        seen_f = vector.peephole_f * state.c if vector else 0
        seen_r = vector.peephole_r * state.c if vector else 0
        f = self.recurrent_activation(gate.f + seen_f)
        r = self.recurrent_activation(gate.r + seen_r)
        c = f * state.c + (1 - f) * gate.drop(gate.c)
        return State(h=r * c + (1 - r) * self.alpha * gate.s, c=c)


@register(name="trnn")
class TRNNCell(Cell):
    """Strongly typed simple network: `h' = f h + (1 - f) W_z x`.

    With `f = sigmoid(W_f x + b_f)`. Balduzzi & Ghifary 2016, arXiv:1602.02218.

    Args:
        units: number of units.
        recurrent_activation: of the gate. Default "sigmoid".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(TRNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("z", "f")
    inputs_only = ("z", "f")
    biases = ("f",)
    linear = ("h",)
    memory_gates = {"f": 1}
    options = {"recurrent_activation": "sigmoid"}
    paper = Reference("Balduzzi & Ghifary", 2016, "1602.02218")
    use = (
        "For long sequences and fast training with few weights: a scan over time "
        "computes it. It is a gated average of the inputs; nonlinear layers must "
        "follow it."
    )

    def update(self, state, gate):
        f = self.recurrent_activation(gate.f)
        return State(h=f * state.h + (1 - f) * gate.drop(gate.z))


@register(name="tgru")
class TGRUCell(Cell):
    """Strongly typed GRU: gates of the inputs of this and the last step.

    `h' = f h + z o` with `z = W_z [x_(t-1), x_t] + b_z`, `f = sigmoid(...)` and
    `o = tanh(...)` of sums like `z`. Balduzzi & Ghifary 2016, arXiv:1602.02218.

    Args:
        units: number of units.
        activation: of `o`. Default "tanh".
        recurrent_activation: of `f`. Default "sigmoid".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(TGRUCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("z", "f", "o")
    inputs_only = ("z", "f", "o")
    linear = ("h",)
    window = 2
    memory_gates = {"f": 1}
    options = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    paper = Reference("Balduzzi & Ghifary", 2016, "1602.02218")
    use = (
        "For long sequences and fast training: a scan over time computes it. It "
        "sees no state in its gates, so that complex dependencies need more than "
        "one layer."
    )

    def update(self, state, gate):
        f, o = self.recurrent_activation(gate.f), self.activation(gate.o)
        return State(h=f * state.h + gate.drop(gate.z * o))


@register(name="tlstm")
class TLSTMCell(Cell):
    """Strongly typed LSTM: gates of the inputs of this and the last step.

    `c' = f c + (1 - f) z`, `h' = c' o` with `z = W_z [x_(t-1), x_t] + b_z`,
    `f = sigmoid(...)` and `o = tanh(...)` of sums like `z`. Balduzzi & Ghifary 2016,
    arXiv:1602.02218.

    Args:
        units: number of units.
        activation: of `o`. Default "tanh".
        recurrent_activation: of `f`. Default "sigmoid".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(TLSTMCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "c")
    gates = ("z", "f", "o")
    inputs_only = ("z", "f", "o")
    linear = ("c",)
    window = 2
    memory_gates = {"f": 1}
    options = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    paper = Reference("Balduzzi & Ghifary", 2016, "1602.02218")
    use = (
        "For long sequences and fast training: a scan over time computes it. It "
        "sees no state in its gates, so that complex dependencies need more than "
        "one layer."
    )

    def update(self, state, gate):
        f, o = self.recurrent_activation(gate.f), self.activation(gate.o)
        c = f * state.c + (1 - f) * gate.drop(gate.z)
        return State(h=c * o, c=c)


@register(name="qrnn")
class QRNNCell(Cell):
    """Quasi-recurrent network: a causal convolution, pooled over time.

    `c' = f c + (1 - f) z`, `h' = o c'` with `z = tanh(...)`, `f, o = sigmoid(...)` of
    `W [x_(t-window+1), ..., x_t] + b`. Bradbury, Merity, Xiong & Socher 2017,
    arXiv:1611.01576; this is its fo-pooling.

    Args:
        units: number of units.
        activation: of the candidate. Default "tanh".
        recurrent_activation: of the gates. Default "sigmoid".
        window: steps of the convolution, at least 1. Default 2.
        **kwargs: the arguments of `Cell`.

    Raises:
        ValueError: for a window that is not a positive integer.

    Example:

    >>> keras_rnnx.layers.RNN(QRNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "c")
    gates = ("z", "f", "o")
    inputs_only = ("z", "f", "o")
    linear = ("c",)
    memory_gates = {"f": 1}
    options = {"activation": "tanh", "recurrent_activation": "sigmoid", "window": 2}
    search = {"window": Int(1, 6)}
    paper = Reference("Bradbury et al.", 2017, "1611.01576")
    use = (
        "For long sequences of words or sound, in stacks of layers: a scan over "
        "time computes it. It sees no state in its gates; a wider `window` makes "
        "up for some of it."
    )

    def configure(self):
        self.window = integer("window", self.window, least=1)

    def update(self, state, gate):
        f, o = self.recurrent_activation(gate.f), self.recurrent_activation(gate.o)
        c = f * state.c + (1 - f) * gate.drop(self.activation(gate.z))
        return State(h=o * c, c=c)
