"""Cells as steps of oscillators and multiscale equations."""

from __future__ import annotations

from keras import ops

from keras_rnnx._numbers import number
from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.default_initializers import scaled, uniform
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells.independent import IndRNNCell
from keras_rnnx.cells.ranges import Log
from keras_rnnx.cells.registry import register


class _Oscillator:
    """Shared by these cells: the check that their numbers are positive."""

    def configure(self):
        for name in ("dt", "gamma", "epsilon", "alpha"):
            if name in self.options:
                setattr(self, name, number(name, getattr(self, name)))
                if getattr(self, name) <= 0:
                    raise ValueError(
                        f"`{name}` must be positive, received {getattr(self, name)}."
                    )


@register(name="cornn")
class CoRNNCell(_Oscillator, Cell):
    """Coupled oscillatory network: a chain of driven and damped oscillators.

    `z' = z + dt (tanh(W x + U_h h + U_z z + b) - gamma h - epsilon z)`,
    `h' = h + dt z'`. Rusch & Mishra 2021, arXiv:2010.00951.

    Args:
        units: number of units.
        activation: of the drive. Default "tanh".
        dt: step size, positive. Default 0.042. This and the next two defaults are the
            authors' for digits read pixel by pixel, 784 steps (0.076, 0.4 and 8.0 for
            permuted digits).
        gamma: squared frequency of the oscillators, positive. Default 2.7.
        epsilon: damping, positive. Default 4.7.
        **kwargs: the arguments of `Cell`.

    Raises:
        ValueError: for a number out of range.

    Example:

    >>> keras_rnnx.layers.RNN(CoRNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "z")
    gates = ("h", "z")
    states_only = ("z",)
    late = ("z",)
    options = {"activation": "tanh", "dt": 0.042, "gamma": 2.7, "epsilon": 4.7}
    search = {"dt": Log(0.01, 0.1), "gamma": Log(0.1, 10), "epsilon": Log(0.1, 10)}
    paper = Reference("Rusch & Mishra", 2021, "2010.00951")
    use = (
        "For long sequences with slow or oscillating inputs: gradients are "
        "bounded by the equation. `dt`, `gamma` and `epsilon` have to be tuned."
    )

    def update(self, state, gate):
        drive = gate.drop(self.activation(gate.h + gate.u.z(state.z)))
        force = drive - self.gamma * state.h - self.epsilon * state.z
        z = state.z + self.dt * force
        return State(h=state.h + self.dt * z, z=z)


@register(name="unicornn")
class UnICORNNCell(_Oscillator, Cell):
    """Undamped independent controlled oscillators, each with its own step size.

    `z' = z - dt sigmoid(c) (tanh(W x + u * h + b) + alpha h)`,
    `h' = h + dt sigmoid(c) z'`, with `u` and `c` for each unit. Rusch & Mishra 2021,
    arXiv:2103.05487.

    Args:
        units: number of units.
        activation: of the drive. Default "tanh".
        dt: largest step size, positive. Default 0.19. This and the next default are
            the authors' for permuted digits.
        alpha: squared frequency of the oscillators, positive. Default 30.65.
        kernel_initializer: of `kernel`. Default uniform with variance `2 / 65` over
            the number of features, as in the authors' code.
        recurrent_initializer: of `recurrent_kernel`, `(units,)`. Default uniform in
            [0, 1].
        **kwargs: the arguments of `Cell`.

    Raises:
        ValueError: for a number out of range.

    Example:

    >>> keras_rnnx.layers.RNN(UnICORNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "z")
    gates = ("h",)
    diagonal = True
    vectors = {"c": uniform(-0.1, 0.1)}
    options = IndRNNCell.options | {"activation": "tanh", "dt": 0.19, "alpha": 30.65}
    search = {"dt": Log(0.01, 0.3), "alpha": Log(1, 100)}
    paper = Reference("Rusch & Mishra", 2021, "2103.05487")
    use = (
        "For very long sequences, in stacks of two layers or more: units see each "
        "other through the next layer alone. `dt` has to be tuned to the length."
    )

    def update(self, state, gate, vector):
        pace = self.dt * ops.sigmoid(vector.c)
        force = gate.drop(self.activation(gate.h)) + self.alpha * state.h
        z = state.z - pace * force
        return State(h=state.h + pace * z, z=z)


# Uniform up to 1 / sqrt(units), for blocks of four gates.
_SPREAD = scaled(4 / 3, "uniform", "fan_out")
_BY_UNITS = {f"{name}_initializer": _SPREAD for name in ("kernel", "recurrent", "bias")}


@register(name="lem")
class LEMCell(_Oscillator, Cell):
    """Long expressive memory: two gated time scales.

    `z' = (1 - d1) z + d1 tanh(a_z)`, `h' = (1 - d2) h + d2 tanh(W_h x + U_h z' + b_h)`
    with `d1, d2 = dt sigmoid(a)`. Rusch, Mishra, Erichson & Mahoney 2022,
    arXiv:2110.04744.

    Args:
        units: number of units.
        activation: of both updates. Default "tanh".
        dt: largest step size, positive. Default 1.0.
        kernel_initializer, recurrent_initializer, bias_initializer: of these. Default
            uniform up to `1 / sqrt(units)`, as in the authors' code.
        **kwargs: the arguments of `Cell`.

    Raises:
        ValueError: for a number out of range.

    Example:

    >>> keras_rnnx.layers.RNN(LEMCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "z")
    gates = ("d1", "d2", "z", "h")
    late = ("h",)
    memory_gates = {"d1": -1, "d2": -1}
    options = {"activation": "tanh", "dt": 1.0, **_BY_UNITS}
    search = {"dt": Log(0.02, 1.0)}
    paper = Reference("Rusch et al.", 2022, "2110.04744")
    use = (
        "For sequences with several time scales, and where an LSTM does not learn "
        "long dependencies. A step has two products one after the other."
    )

    def update(self, state, gate):
        d1, d2 = self.dt * ops.sigmoid(gate.d1), self.dt * ops.sigmoid(gate.d2)
        z = (1 - d1) * state.z + d1 * gate.drop(self.activation(gate.z))
        moved = gate.drop(self.activation(gate.x.h + gate.u.h(z)))
        return State(h=(1 - d2) * state.h + d2 * moved, z=z)
