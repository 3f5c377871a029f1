"""The cells of FastGRNN's authors."""

from __future__ import annotations

from keras import ops

from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.default_initializers import constant, normal
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells._lowering import families
from keras_rnnx.cells.ranges import Choice
from keras_rnnx.cells.registry import register


class _WithNumbers:
    """A cell with learned numbers that all units share.

    The equation reads the logistic function of each of these `numbers`.
    """

    numbers: tuple[str, ...] = ()

    def build_vector(self, name):
        weight = self.add_weight(
            shape=() if name in self.numbers else (self.units,),
            name=name,
            initializer=getattr(self, f"{name}_initializer"),
        )
        setattr(self, name, weight)

    def coefficients(self):
        vectors = {k: self._for_each_unit(getattr(self, k)) for k in self.vectors}
        return vectors | {k: ops.sigmoid(vectors[k]) for k in self.numbers}

    def _for_each_unit(self, weight):
        return ops.broadcast_to(ops.convert_to_tensor(weight), (self.units,))


@register
class FastRNNCell(_WithNumbers, Cell):
    """Residual network with two learned numbers: `h' = s(alpha) tanh(a) + s(beta) h`.

    `s` is the logistic function; `alpha` and `beta` are shared by all units. Kusupati,
    Singh, Bhatia, Kumar, Jain & Varma 2018, arXiv:1901.02358.

    Args:
        units: number of units.
        activation: of the update. Default "tanh".
        alpha_initializer: of `alpha`. Default -3: little is written.
        beta_initializer: of `beta`. Default 3: most is kept.
        kernel_initializer, recurrent_initializer: of these. Default normal with
            standard deviation 0.1, as in the authors' code.
        bias_initializer: of `bias`. Default "ones", as there.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(FastRNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("h",)
    vectors = {"alpha": None, "beta": None}
    numbers = ("alpha", "beta")
    options = {
        "activation": "tanh",
        "alpha_initializer": constant(-3.0),
        "beta_initializer": constant(3.0),
        "kernel_initializer": normal(0.1),
        "recurrent_initializer": normal(0.1),
        "bias_initializer": "ones",
    }
    search = {"activation": Choice(["tanh", "relu", "sigmoid"])}
    paper = Reference("Kusupati et al.", 2018, "1901.02358")
    use = (
        "For devices with little memory and simple tasks: a simple network whose "
        "gradients two numbers keep in range. `FastGRNNCell` has a gate with as "
        "few matrices."
    )

    def update(self, state, gate, vector):
        written = gate.drop(self.activation(gate.h))
        return State(h=vector.alpha * written + vector.beta * state.h)

    def lowering(self):
        return families.leaky(
            self.activation,
            keep=lambda w: w.vector.beta,
            write=lambda w: w.vector.alpha,
            forget=lambda w: 1 - w.vector.beta,
            zoneout=self.zoneout_rates[0],
        )


@register
class FastGRNNCell(_WithNumbers, Cell):
    """Gated network whose gate and update share their matrices.

    `h' = (s(zeta) (1 - z) + s(nu)) tanh(a + b_h) + z h` with `z = s(a + b_z)`,
    `a = W x + U h` and `s` the logistic function; `zeta` and `nu` are shared by all
    units. Kusupati, Singh, Bhatia, Kumar, Jain & Varma 2018, arXiv:1901.02358.

    Args:
        units: number of units.
        activation: of the update. Default "tanh".
        recurrent_activation: of the gate. Default "sigmoid".
        bias_gate_initializer, bias_update_initializer: of `b_z` and `b_h`, `(units,)`.
            Default "ones".
        zeta_initializer: of `zeta`. Default 1.
        nu_initializer: of `nu`. Default -4.
        kernel_initializer, recurrent_initializer: of these. Default normal with
            standard deviation 0.1, as in the authors' code.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(FastGRNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("a",)
    biases = ()
    vectors = {"bias_gate": None, "bias_update": None, "zeta": None, "nu": None}
    numbers = ("zeta", "nu")
    options = {
        "use_bias": False,
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "bias_gate_initializer": "ones",
        "bias_update_initializer": "ones",
        "zeta_initializer": constant(1.0),
        "nu_initializer": constant(-4.0),
        "kernel_initializer": normal(0.1),
        "recurrent_initializer": normal(0.1),
    }
    search = {"activation": Choice(["tanh", "relu", "sigmoid"])}
    paper = Reference("Kusupati et al.", 2018, "1901.02358")
    use = (
        "For devices with little memory: it has the matrices of a simple network. "
        "The paper also makes them sparse and of low rank, which this cell does "
        "not."
    )

    def update(self, state, gate, vector):
        z = self.recurrent_activation(gate.a + vector.bias_gate)
        update = gate.drop(self.activation(gate.a + vector.bias_update))
        written = (vector.zeta * (1 - z) + vector.nu) * update
        return State(h=written + z * state.h)
