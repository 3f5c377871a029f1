"""The cells of FastGRNN's authors."""

from __future__ import annotations

from keras import ops

from keras_rnnx.cells import families
from keras_rnnx.cells.cell import Cell
from keras_rnnx.cells.registry import register
from keras_rnnx.cells.views import State


@register
class FastRNNCell(Cell):
    """Residual network with two learned numbers: `h' = s(alpha) tanh(a) + s(beta) h`.

    `s` is the logistic function; `alpha` and `beta` are shared by all units. Kusupati,
    Singh, Bhatia, Kumar, Jain & Varma 2018, arXiv:1901.02358.

    Args:
        units: number of units.
        activation: of the update. Default "tanh".
        alpha_initializer: of `alpha`. Default -3: little is written.
        beta_initializer: of `beta`. Default 3: most is kept.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(FastRNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("h",)
    vectors = {"alpha": None, "beta": None}
    options = {
        "activation": "tanh",
        "alpha_initializer": {"class_name": "Constant", "config": {"value": -3.0}},
        "beta_initializer": {"class_name": "Constant", "config": {"value": 3.0}},
    }
    paper = "Kusupati et al. 2018"

    def update(self, state, gate, vector):
        written = gate.drop(self.activation(gate.h))
        return State(h=vector.alpha * written + vector.beta * state.h)

    def build_vector(self, name):
        weight = self.add_weight(
            shape=(), name=name, initializer=getattr(self, f"{name}_initializer")
        )
        setattr(self, name, weight)

    def coefficients(self):
        return {
            name: ops.sigmoid(self._for_each_unit(getattr(self, name)))
            for name in self.vectors
        }

    def lowering(self):
        return families.leaky(
            self.activation,
            keep=lambda w: w.vector.beta,
            write=lambda w: w.vector.alpha,
            keep_logit=lambda w: self._for_each_unit(self.beta),
            scale=lambda w: (
                w.vector.alpha / ops.sigmoid(-self._for_each_unit(self.beta))
            ),
            zoneout=self.zoneout_rates[0],
        )

    def _for_each_unit(self, weight):
        weight = ops.cast(ops.convert_to_tensor(weight), self.compute_dtype)
        return ops.broadcast_to(weight, (self.units,))
