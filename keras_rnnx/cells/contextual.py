"""Networks with units of different pace."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from keras_rnnx._numbers import number
from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells.ranges import Choice, Uniform
from keras_rnnx.cells.registry import register

# Up to these numbers the dtype represents every whole number.
_EXACT = {"bfloat16": 2**8, "float16": 2**11}


def _doubled(n):
    return tuple(2**k for k in range(n + 1))


@register
class ClockworkRNNCell(Cell):
    """Groups of units that take a step only every so often.

    `h' = tanh(W x + U h + b)` for the units of period `T` at the steps that `T`
    divides, counted from 0; the others keep their state. A unit sees those of its own
    and of longer periods. Koutnik, Greff, Gomez & Schmidhuber 2014, arXiv:1402.3511.

    Args:
        units: number of units, as many as periods or more.
        activation: of the state. Default "tanh".
        periods: in steps, one for each group of units. Groups are as equal in size as
            possible; the first ones are larger. Default (1, 2, 4, 8).
        **kwargs: the arguments of `Cell`.

    Raises:
        ValueError: for periods that are not positive integers, for no periods, or for
            more periods than units; when built, for a period above 256 in bfloat16 or
            2048 in float16, which cannot count that far.

    Example:

    >>> keras_rnnx.layers.RNN(ClockworkRNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "t")
    gates = ("h",)
    vectors = {"period": None}
    state_kinds = {"t": "count"}
    options = {"activation": "tanh", "periods": (1, 2, 4, 8)}
    search = {"periods": Choice({f"1-{2**n}": _doubled(n) for n in (1, 3, 5, 7)})}
    paper = Reference("Koutnik et al.", 2014, "1402.3511")
    use = (
        "For signals with slow and fast parts whose time scales are roughly "
        "known, such as sound. All units are computed at every step, so that long "
        "periods save no time."
    )

    def update(self, state, gate, vector):
        # The operator: on torch `ops.mod` of Keras 3.16 computes float64 in float32.
        due = state.t % vector.period == 0
        h = ops.where(due, gate.drop(self.activation(gate.h)), state.h)
        # Never above the period, which half precision can still count to.
        return State(h=h, t=(state.t + 1) % vector.period)

    def configure(self):
        self.periods = tuple(self.periods)
        whole = all(isinstance(p, int) and p > 0 for p in self.periods)
        if not whole or not 0 < len(self.periods) <= self.units:
            raise ValueError(
                f"`periods` must be positive integers, at most one for each of "
                f"units={self.units}, received {self.periods}."
            )
        groups = np.array_split(np.arange(self.units), len(self.periods))
        self._of_unit = np.repeat(self.periods, [len(group) for group in groups])

    def recurrent_matrix(self, kernel: Any) -> Any:
        seen = self._of_unit[:, None] >= self._of_unit[None, :]
        return kernel * ops.convert_to_tensor(seen, dtype=kernel.dtype)

    def build_vector(self, name):
        """Checks the periods, which are no weight."""
        exact = _EXACT.get(self.compute_dtype, 2**24)
        if max(self.periods) > exact:
            raise ValueError(
                f"{type(self).__name__} counts steps in {self.compute_dtype}, which "
                f"holds whole numbers up to {exact}; received periods={self.periods}. "
                f"Give the cell dtype='float32'."
            )

    def coefficients(self):
        return {"period": ops.convert_to_tensor(self._of_unit, self.compute_dtype)}


@register(name="scrn")
class SCRNCell(Cell):
    """Structurally constrained network: slow context units beside fast ones.

    `s' = (1 - alpha) W_s x + alpha s`, `h' = sigmoid(W_h x + U_h h + U_p s')`. There
    are as many context as hidden units. The paper's output layer reads `s` beside `h`;
    here the output is `h` alone, and `s` the second state. Mikolov, Joulin, Chopra,
    Mathieu & Ranzato 2015, arXiv:1412.7753.

    Args:
        units: number of hidden units, and of context units.
        activation: of the hidden units. Default "sigmoid".
        alpha: how much of the context is kept, in (0, 1). Default 0.95.
        **kwargs: the arguments of `Cell`.

    Raises:
        ValueError: for `alpha` out of range.

    Example:

    >>> keras_rnnx.layers.RNN(SCRNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "s")
    gates = ("s", "h", "p")
    inputs_only = ("s",)
    states_only = ("p",)
    late = ("p",)
    biases = ()
    options = {"activation": "sigmoid", "alpha": 0.95, "use_bias": False}
    search = {"alpha": Uniform(0.8, 0.99)}
    paper = Reference("Mikolov et al.", 2015, "1412.7753")
    use = (
        "For language models with few weights, and other sequences with a part "
        "that changes slowly. What the context keeps is fixed by `alpha`, not "
        "learned."
    )

    def update(self, state, gate):
        s = (1 - self.alpha) * gate.drop(gate.s) + self.alpha * state.s
        return State(h=self.activation(gate.h + gate.u.p(s)), s=s)

    def configure(self):
        self.alpha = number("alpha", self.alpha)
        if not 0 < self.alpha < 1:
            raise ValueError(f"`alpha` must be in (0, 1), received {self.alpha}.")
