"""Recurrent highway network."""

from __future__ import annotations

from keras_rnnx._numbers import integer
from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.default_initializers import constant
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells.ranges import Int, Uniform
from keras_rnnx.cells.registry import register


@register(name="rhn")
class RHNCell(Cell):
    """Recurrent highway network: several gated layers within a step.

    `h' = s_depth`, `s_l = t_l tanh(a_l) + c_l s_(l-1)`, `s_0 = h`,
    `t_l = sigmoid(...)`, `c_l = 1 - t_l` for the layers `l = 1 ... depth`; where they
    are not coupled, `c_l` is a gate of its own. Each layer multiplies `s_(l-1)` by
    matrices of its own; the inputs enter the first. Zilly, Srivastava, Koutnik &
    Schmidhuber 2017, arXiv:1607.03474.

    Args:
        units: number of units.
        depth: layers within a step. Default 2.
        coupled: whether the carry gate is one minus the transform gate. Default True.
        transform_bias: where the biases of the transform gates start, and, with the
            opposite sign, those of carry gates of their own. Default -2.0.
        activation: of the layers. Default "tanh".
        recurrent_activation: of the gates. Default "sigmoid".
        **kwargs: the arguments of `Cell`.

    Raises:
        ValueError: for a depth that is not a positive integer.

    Example:

    >>> keras_rnnx.layers.RNN(RHNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("h1", "t1", "h2", "t2")
    options = {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "depth": 2,
        "coupled": True,
        "transform_bias": -2.0,
    }
    search = {"depth": Int(1, 10), "transform_bias": Uniform(-4.0, -1.0)}
    paper = Reference("Zilly et al.", 2017, "1607.03474")
    use = (
        "For language models, on which more depth within a step pays. The time of "
        "a step grows with `depth`."
    )

    def configure(self):
        self.depth = integer("depth", self.depth, least=1)
        kinds = "ht" if self.coupled else "htc"
        self.gates = tuple(f"{k}{i + 1}" for i in range(self.depth) for k in kinds)
        self.states_only = self.late = self.gates[len(kinds) :]
        self.biases = self.gates
        signs = {"t": -1, "c": 1}
        self.memory_gates = {k: signs[k[0]] for k in self.gates if k[0] in signs}

    def update(self, state, gate):
        s = state.h
        for i in range(1, self.depth + 1):
            read = self._read(gate, i, s)
            t = self.recurrent_activation(read("t"))
            c = 1 - t if self.coupled else self.recurrent_activation(read("c"))
            s = t * gate.drop(self.activation(read("h"))) + c * s
        return State(h=s)

    @staticmethod
    def _read(gate, layer, s):
        if layer == 1:
            return lambda kind: getattr(gate, f"{kind}1")
        return lambda kind: getattr(gate.u, f"{kind}{layer}")(s)

    def gate_bias_initializer(self, gate):
        if gate[0] == "h":
            return self.bias_initializer
        # A carry gate of its own starts as the coupled one does.
        return constant(self.transform_bias * (1 if gate[0] == "t" else -1))
