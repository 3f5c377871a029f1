"""Long short-term memory with additional or different gates."""

from __future__ import annotations

from keras import ops

from keras_rnnx._numbers import integer, number
from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells._lowering import families
from keras_rnnx.cells._lowering.spec import Lowering
from keras_rnnx.cells.lstm import LSTMCell
from keras_rnnx.cells.ranges import Choice
from keras_rnnx.cells.registry import register


@register
class PeepholeLSTMCell(Cell):
    """LSTM whose gates see the memory cell.

    `c' = f c + i tanh(a_c)`, `h' = o tanh(c')` with `i = sigmoid(a_i + p_i c)`,
    `f = sigmoid(a_f + p_f c)`, `o = sigmoid(a_o + p_o c')`. Gers, Schraudolph &
    Schmidhuber 2002, JMLR 3.

    Args:
        units: number of units.
        activation: of candidate and output. Default "tanh".
        recurrent_activation: of the gates. Default "sigmoid".
        unit_forget_bias: start the forget gate's bias at 1. Default True.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(PeepholeLSTMCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "c")
    gates = ("i", "f", "c", "o")
    vectors = {"peephole_i": "zeros", "peephole_f": "zeros", "peephole_o": "zeros"}
    memory_gates = {"f": 1, "i": -1}
    options = LSTMCell.options
    paper = Reference("Gers et al.", 2002)
    use = (
        "For tasks that depend on exact times or counts, as in the paper. "
        "Elsewhere peepholes seldom help, and they keep the cell off the vendors' "
        "kernels."
    )

    def update(self, state, gate, vector):
        gated = self.recurrent_activation
        i = gated(gate.i + vector.peephole_i * state.c)
        f = gated(gate.f + vector.peephole_f * state.c)
        c = f * state.c + i * gate.drop(self.activation(gate.c))
        o = gated(gate.o + vector.peephole_o * c)
        return State(h=o * self.activation(gate.norm(c)), c=c)


@register
class MultiplicativeLSTMCell(Cell):
    """LSTM with recurrent weights that depend on the input.

    An LSTM that reads `m = (W_m x) * (U_m h)` where others read `h`:
    `c' = f c + i tanh(W_c x + U_c m + b_c)`, `h' = o tanh(c')` with
    `i, f, o = sigmoid(W x + U m + b)`. In the form of a standard LSTM, as in the
    authors' later code; their first had no tanh around the candidate. Krause, Lu,
    Murray & Renals 2016, arXiv:1609.07959.

    Args:
        units: number of units.
        activation: of candidate and output. Default "tanh".
        recurrent_activation: of the gates. Default "sigmoid".
        unit_forget_bias: start the forget gate's bias at 1. Default True.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> cell = MultiplicativeLSTMCell(4)
    >>> keras_rnnx.layers.RNN(cell)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "c")
    gates = ("m", "i", "f", "c", "o")
    split = ("m",)
    late = ("i", "f", "c", "o")
    biases = ("i", "f", "c", "o")
    memory_gates = {"f": 1, "i": -1}
    options = LSTMCell.options
    paper = Reference("Krause et al.", 2016, "1609.07959")
    use = (
        "For language models on characters, as in the paper. A step has two "
        "products one after the other, so it is slower than a step of an LSTM of "
        "the same size."
    )

    def update(self, state, gate):
        m = gate.x.m * gate.u.m
        gated, squashed = self.recurrent_activation, self.activation
        i, f = gated(gate.x.i + gate.u.i(m)), gated(gate.x.f + gate.u.f(m))
        o = gated(gate.x.o + gate.u.o(m))
        c = f * state.c + i * gate.drop(squashed(gate.x.c + gate.u.c(m)))
        return State(h=o * squashed(gate.norm(c)), c=c)


@register(name="slstm")
class SLSTMCell(Cell):
    """LSTM with exponential gates, normalized and held in range.

    `c' = f c + i tanh(a_z)`, `n' = f n + i`, `h' = sigmoid(a_o) c' / n'` with
    `m' = max(a_i, log sigmoid(a_f) + m)`, `i = exp(a_i - m')`,
    `f = exp(log sigmoid(a_f) + m - m')`. One head; `n` has no floor, so that it
    must start at 0 or above. `zoneout` acts on `h` alone, since `c` and `n` are stored
    relative to `m`. Beck et al. 2024, arXiv:2405.04517.

    Args:
        units: number of units.
        activation: of the candidate. Default "tanh".
        forget_bias: where the biases of the forget gate start, spread evenly over the
            units: `(lowest, highest)`; None: at `bias_initializer`. Default (3.0, 6.0),
            "small_init" in the authors' code, whose own default is a power law that
            depends on the depth of the block.
        recurrent_initializer: of `recurrent_kernel`. Default "zeros", as in the
            authors' code.
        **kwargs: the arguments of `Cell`.

    Raises:
        ValueError: for a `forget_bias` that is not two numbers.

    Example:

    >>> keras_rnnx.layers.RNN(SLSTMCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "c", "n", "m")
    gates = ("i", "f", "z", "o")
    memory_gates = {"f": 1, "i": -1}
    state_kinds = {"n": "positive"}
    # The other states are stored relative to `m`.
    zoned = ("h",)
    options = {
        "activation": "tanh",
        "forget_bias": (3.0, 6.0),
        "recurrent_initializer": "zeros",
    }
    paper = Reference("Beck et al.", 2024, "2405.04517")
    use = (
        "For tasks in which a more important input has to replace stored ones: the "
        "gates are exponential and weigh one input against all before it. The paper "
        "puts it into residual blocks."
    )

    def update(self, state, gate):
        kept = ops.log_sigmoid(gate.f) + state.m
        # With n = 0 there is nothing to weigh `i` against, and exp could give 0 / 0.
        alone = ops.logical_and(state.n == 0, gate.i < kept - 10)
        kept = ops.where(alone, gate.i, kept)
        m = ops.where(gate.i > kept, gate.i, kept)
        i, f = ops.exp(gate.i - m), ops.exp(kept - m)
        c = f * state.c + i * gate.drop(self.activation(gate.z))
        n = f * state.n + i
        return State(h=ops.sigmoid(gate.o) * c / n, c=c, n=n, m=m)

    def configure(self):
        if self.forget_bias is None:
            return
        if not isinstance(self.forget_bias, list | tuple) or len(self.forget_bias) != 2:
            raise ValueError(
                f"`forget_bias` must be None or two numbers, (lowest, highest), "
                f"received {self.forget_bias!r}."
            )
        self.forget_bias = tuple(number("forget_bias", k) for k in self.forget_bias)

    def gate_bias_initializer(self, gate):
        if gate != "f" or self.forget_bias is None:
            return self.bias_initializer
        return lambda shape, dtype: ops.linspace(
            *self.forget_bias, shape[-1], dtype=dtype
        )


@register(name="lstmp")
class LSTMPCell(Cell):
    """LSTM with a projection: its output is narrower than its memory.

    `c' = f c + i tanh(a_c)`, `r' = P (o tanh(c'))` with `i, f, o = sigmoid(a)` and
    `a = W x + U r + b`. It has no peepholes, as the vendors' kernels; the paper has
    them. Sak, Senior & Beaufays 2014, arXiv:1402.1128.

    Args:
        units: number of units, the width of the memory `c`.
        projection_units: width of the output `r`, which is also fed back, a positive
            integer. Default: half of `units`, rounded down, but at least 1.
        activation: of candidate and output. Default "tanh".
        recurrent_activation: of the gates. Default "sigmoid".
        unit_forget_bias: start the forget gate's bias at 1. Default True.
        projection_initializer: of `projection_kernel` `(units, projection_units)`, `P`.
            Default "glorot_uniform".
        projection_regularizer, projection_constraint: for `projection_kernel`. Default
            None.
        **kwargs: the arguments of `Cell`.

    Raises:
        ValueError: for `projection_units` that is not a positive integer.

    Example:

    >>> cell = LSTMPCell(6, projection_units=4)
    >>> cell.state_size
    [4, 6]
    >>> keras_rnnx.layers.RNN(cell)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("r", "c")
    gates = ("i", "f", "c", "o", "r")
    late = states_only = projection = ("r",)
    memory_gates = {"f": 1, "i": -1}
    options = {**LSTMCell.options, "projection_units": None}
    lowering_values = {"projection_units": (8,)}
    search = {
        "projection_units": Choice({"half": None, "16": 16, "32": 32, "64": 64}),
    }
    paper = Reference("Sak et al.", 2014, "1402.1128")
    use = (
        "For a large memory with few weights, as in speech and with large "
        "vocabularies. With an output half as wide as the memory it has five "
        "eighths of the recurrent weights of an LSTM, `P` included, and the layer "
        "above has half the inputs."
    )

    def update(self, state, gate):
        gated, squashed = self.recurrent_activation, self.activation
        written = gated(gate.i) * gate.drop(squashed(gate.c))
        c = gated(gate.f) * state.c + written
        return State(r=gate.u.r(gated(gate.o) * squashed(gate.norm(c))), c=c)

    def configure(self):
        width = max(1, self.units // 2)
        if self.projection_units is not None:
            width = integer("projection_units", self.projection_units, least=1)
        self.state_units = {"r": width}

    def lowering(self):
        refused = families.standard(self.activation, self.recurrent_activation)
        if refused:
            return refused
        width = self.state_units["r"]
        if width >= self.units:
            return (
                f"the kernels project to less than units={self.units}, but "
                f"projection_units={width}"
            )
        return Lowering("lstmp")
