"""Networks whose units do not see each other."""

from __future__ import annotations

from keras import ops

from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.default_initializers import scaled, uniform
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells.ranges import Choice
from keras_rnnx.cells.registry import register

# Where recurrent weights start. "all": memories of all lengths; "both": of both signs
# too; "long": of tens of steps and more; "longest": of thousands.
_STARTS = {"all": uniform(0, 1), "both": uniform(-1, 1)}
_STARTS |= {"long": uniform(0.9, 1), "longest": uniform(0.999, 1)}
_SPANS = Choice(_STARTS)
_GATED = {"activation": "tanh", "recurrent_activation": "sigmoid"}


@register
class IndRNNCell(Cell):
    """Independently recurrent network: each unit sees its own state alone.

    `h' = relu(W x + u * h + b)`, with a weight `u` for each unit. Li, Li, Cook, Zhu &
    Gao 2018, arXiv:1803.04831. Nothing bounds the state: once training has moved a
    weight beyond 1, it overflows over long sequences.
    `recurrent_constraint=keras_rnnx.constraints.UnitRange()` prevents that, and
    keeps gradients from exploding; the paper always uses it, and so does the layer's
    `recipe="indrnn"`.

    Args:
        units: number of units.
        activation: of the state. Default "relu".
        kernel_initializer: of `kernel`. Default uniform with variance `2 / 65` over
            the number of features, as in the authors' code.
        recurrent_initializer: of `recurrent_kernel`, `(units,)`. Default uniform in
            [0, 1]. (The paper: in [0, 2 ** (1 / steps)], and in the last layer of a
            stack `keras_rnnx.initializers.UnitRange()`, near 1.)
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(IndRNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("h",)
    diagonal = True
    options = {
        "activation": "relu",
        "kernel_initializer": scaled(2 / 65, "uniform"),
        "recurrent_initializer": _STARTS["all"],
    }
    search = {"activation": Choice(["relu", "tanh"]), "recurrent_initializer": _SPANS}
    recipes = ("indrnn",)
    paper = Reference("Li et al.", 2018, "1803.04831")
    use = (
        "For very long sequences, in stacks of two layers or more: units see each "
        "other through the next layer alone."
    )

    def update(self, state, gate):
        return State(h=gate.drop(self.activation(gate.h)))


@register(name="brc")
class BRCCell(Cell):
    """Bistable recurrent cell: each unit can hold one of two values for ever.

    `h' = z h + (1 - z) tanh(W_h x + r h)` with `r = 1 + tanh(W_r x + u_r * h + b_r)`
    and `z = sigmoid(W_z x + u_z * h + b_z)`: a unit is bistable where `r > 1`. Vecoven,
    Ernst & Drion 2021, arXiv:2006.05252.

    Args:
        units: number of units.
        activation: of the candidate. Default "tanh".
        recurrent_activation: of the update gate. Default "sigmoid".
        recurrent_initializer: of `recurrent_kernel`, `(2 * units,)`. Default
            "ones".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(BRCCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("r", "z", "h")
    inputs_only = ("h",)
    biases = ("r", "z")
    memory_gates = {"z": 1}
    diagonal = True
    options = _GATED | {"recurrent_initializer": "ones"}
    paper = Reference("Vecoven et al.", 2021, "2006.05252")
    use = (
        "For memories that must stay unchanged over hundreds of steps. Units see each "
        "other through the next layer alone: stack two or more."
    )

    def update(self, state, gate):
        r, z = 1 + ops.tanh(gate.r), self.recurrent_activation(gate.z)
        candidate = gate.drop(self.activation(gate.h + r * state.h))
        return State(h=z * state.h + (1 - z) * candidate)


@register(name="nbrc")
class NBRCCell(BRCCell):
    """Recurrently neuromodulated bistable cell: the gates see all units.

    `h' = z h + (1 - z) tanh(W_h x + r h)` with `r = 1 + tanh(a_r)`, `z = sigmoid(a_z)`.
    Vecoven, Ernst & Drion 2021, arXiv:2006.05252.

    Args:
        units: number of units.
        activation: of the candidate. Default "tanh".
        recurrent_activation: of the update gate. Default "sigmoid".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(NBRCCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    diagonal = False
    options = _GATED
    use = (
        "For memories that must stay unchanged over hundreds of steps, in one layer: "
        "unlike the gates of `BRCCell`, its gates see all units."
    )
