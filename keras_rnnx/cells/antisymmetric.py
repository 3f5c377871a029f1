"""Networks as stable differential equations."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx._numbers import number
from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells.ranges import Log
from keras_rnnx.cells.registry import register


class _Antisymmetric:
    """Shared by both cells: the recurrent matrix, `epsilon` and `gamma`."""

    units: int
    epsilon: float
    gamma: float
    options = {"activation": "tanh", "epsilon": 0.01, "gamma": 0.01}
    search = {"epsilon": Log(0.001, 1.0), "gamma": Log(0.001, 1.0)}

    def configure(self):
        for name in ("epsilon", "gamma"):
            setattr(self, name, number(name, getattr(self, name)))
        if self.epsilon <= 0 or self.gamma < 0:
            raise ValueError(
                f"`epsilon` must be positive and `gamma` not negative, received "
                f"epsilon={self.epsilon}, gamma={self.gamma}."
            )

    def recurrent_matrix(self, kernel: Any) -> Any:
        eye = ops.eye(self.units, dtype=keras.backend.standardize_dtype(kernel.dtype))
        return kernel - ops.transpose(kernel) - self.gamma * eye


@register
class AntisymmetricRNNCell(_Antisymmetric, Cell):
    """A step of a stable differential equation, so that gradients keep their size.

    `h' = h + epsilon tanh(W x + (M - M^T - gamma I) h + b)`, where `M` is the recurrent
    kernel. The eigenvalues of the matrix have the real part `-gamma`. Chang, Chen,
    Haber & Chi 2019, arXiv:1902.09689.

    Args:
        units: number of units.
        activation: of the change. Default "tanh".
        epsilon: step size, positive. Default 0.01.
        gamma: diffusion, not negative. Default 0.01.
        **kwargs: the arguments of `Cell`.

    Raises:
        ValueError: for a number out of range.

    Example:

    >>> cell = AntisymmetricRNNCell(4)
    >>> keras_rnnx.layers.RNN(cell)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("h",)
    paper = Reference("Chang et al.", 2019, "1902.09689")
    use = (
        "For long sequences over which gradients must neither fade nor grow, such "
        "as images read by pixel. The state changes little in a step: `epsilon` "
        "has to fit the length."
    )

    def update(self, state, gate):
        change = gate.drop(self.activation(gate.h))
        return State(h=state.h + self.epsilon * change)


@register
class GatedAntisymmetricRNNCell(_Antisymmetric, Cell):
    """An antisymmetric network with an input gate, over the same matrix.

    `h' = h + epsilon sigmoid(p + W_z x + b_z) tanh(p + W_h x + b_h)` with
    `p = (M - M^T - gamma I) h`. Chang, Chen, Haber & Chi 2019, arXiv:1902.09689.

    Args:
        units: number of units.
        activation: of the change. Default "tanh".
        epsilon: step size, positive. Default 0.01.
        gamma: diffusion, not negative. Default 0.01.
        **kwargs: the arguments of `Cell`.

    Raises:
        ValueError: for a number out of range.

    Example:

    >>> cell = GatedAntisymmetricRNNCell(4)
    >>> keras_rnnx.layers.RNN(cell)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("h", "z", "p")
    inputs_only = ("h", "z")
    states_only = ("p",)
    biases = ("h", "z")
    paper = Reference("Chang et al.", 2019, "1902.09689")
    use = (
        "For the tasks of `AntisymmetricRNNCell`, where the cell should ignore much "
        "of the input. `epsilon` has to fit the length."
    )

    def update(self, state, gate):
        change = gate.drop(self.activation(gate.p + gate.h))
        return State(h=state.h + self.epsilon * ops.sigmoid(gate.p + gate.z) * change)
