"""Initializers of biases, which decide how long a cell keeps its state."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_rnnx._gates import known_steps
from keras_rnnx._numbers import integer, number
from keras_rnnx.initializers.seeds import Seeded

if TYPE_CHECKING:
    from keras_rnnx.cells import Cell


class MemoryBias(keras.initializers.Initializer):
    """Base of initializers of the bias that know which gates keep the state.

    A subclass defines `signs(cell)`, the sign of the value in each of the
    `memory_gates`, and `values(units)`.
    """

    _signs: list[int] | None = None

    def bind(self, cell: Cell, weight: str) -> MemoryBias:
        """This initializer for the bias of a cell.

        Raises:
            ValueError: for another weight, or a cell without `memory_gates`.
        """
        owner, of = type(self).__name__, type(cell).__name__
        if weight != "bias":
            raise ValueError(
                f"{owner} makes biases: pass it as `bias_initializer`, not for the "
                f"{weight} of {of}. For recurrent kernels use "
                f"keras_rnnx.initializers.IdentityRecurrent, SpectralRadius, "
                f"Antisymmetric and PerGate('orthogonal')."
            )
        if not cell.memory_gates:
            raise ValueError(
                f"{owner} sets the biases of the gates that keep the state, but {of} "
                f"has none (no `memory_gates`). Its memory depends on the recurrent "
                f"kernel: see keras_rnnx.initializers.IdentityRecurrent and "
                f"SpectralRadius. The memory of LeakyRNN depends on leak: pass "
                f"leak=LeakRates(...)."
            )
        new = copy.copy(self)
        signs = self.signs(cell)
        new._signs = [signs.get(gate, 0) for gate in cell.gates_of("bias")]
        return new

    def signs(self, cell: Cell) -> dict[str, int]:
        """The factor of `values` for each gate; missing gates get zeros."""
        return cell.memory_gates

    def values(self, units: int) -> Any:
        """The biases of a gate that keeps the state, `(units,)` in float32."""
        raise NotImplementedError

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        owner = type(self).__name__
        if self._signs is None:
            raise ValueError(
                f"{owner} has to know the gates of a cell: pass it as "
                f"`bias_initializer` to a cell or layer of keras_rnnx; received a "
                f"call with shape {tuple(shape)}."
            )
        values = self.values(shape[-1] // len(self._signs))
        row = ops.concatenate([sign * values for sign in self._signs])
        if len(shape) == 2:
            # The biases of both parts are added up, so the second one stays zero.
            row = ops.stack([row, ops.zeros_like(row)])
        return ops.cast(row, dtype or keras.config.floatx())


@keras.saving.register_keras_serializable("keras_rnnx")
class Chrono(MemoryBias, Seeded):
    """Biases for memories of all lengths up to `max_steps`.

    A gate that keeps the state gets `log(U)`, with `U` uniform in `[1, max_steps - 1]`
    for each unit, so that the unit forgets over about `U` steps. A gate that writes,
    such as the input gate of an LSTM or the gate of an MGU, gets `-log(U)` of the same
    draw. All other biases are zero. `unit_forget_bias` has no effect. Tallec & Ollivier
    2018, arXiv:1804.11188.

    Args:
        max_steps: the longest dependencies to expect, in steps; at least 3. Default
            None: the length of the sequences that the layer is built with.
        seed: an integer, a `keras.random.SeedGenerator` or None. Default None: random.

    Raises:
        ValueError: for `max_steps` less than 3; without it, if the length is not known;
            for a cell without a gate that keeps the state; for another weight than a
            bias; when called outside of a keras_rnnx cell.

    Example:

    >>> layer = keras_rnnx.layers.LSTM(8, bias_initializer=Chrono(100, seed=1))
    >>> layer.build((None, None, 3))
    >>> i, f, c, o = np.split(ops.convert_to_numpy(layer.cell.bias), 4)
    >>> bool(np.all(i == -f)), bool(np.all((0 <= f) & (f <= np.log(99))))
    (True, True)
    """

    def __init__(self, max_steps: int | None = None, seed: Any = None):
        super().__init__(seed)
        if max_steps is not None:
            max_steps = integer("max_steps", max_steps, least=3)
        self.max_steps = max_steps

    def bind(self, cell: Cell, weight: str) -> Chrono:
        new = super().bind(cell, weight)
        if new.max_steps is None:
            steps = known_steps(cell, "Chrono", "Chrono(max_steps)")
            new.max_steps = integer("max_steps", steps, least=3)
        return new

    def values(self, units: int) -> Any:
        # `bind` has set it.
        longest: Any = self.max_steps
        steps = keras.random.uniform(
            (units,), 1.0, longest - 1.0, dtype="float32", seed=self.seed
        )
        return ops.log(steps)

    def get_config(self) -> dict[str, Any]:
        return {"max_steps": self.max_steps, **super().get_config()}


@keras.saving.register_keras_serializable("keras_rnnx")
class ForgetBias(MemoryBias):
    """One bias for the gates that keep the state, zeros for all others.

    In an LSTM this is the forget gate, in a GRU the update gate. If a cell has only a
    gate that writes, as an MGU, that gate gets the negative value. In a cell whose two
    gates compete, as a minLSTM, the gate that writes gets the negative value too.
    `unit_forget_bias` has no effect. Gers, Schmidhuber & Cummins 2000, Neural
    Computation 12(10); Jozefowicz, Zaremba & Sutskever 2015.

    Args:
        value: the bias; at 0 each step keeps half of the state. Default 1.0.

    Raises:
        ValueError: for a value that is not a number; for a cell without a gate that
            keeps the state; for another weight than a bias; when called outside of a
            keras_rnnx cell.

    Example:

    >>> layer = keras_rnnx.layers.GRU(2, bias_initializer=ForgetBias(3.0))
    >>> layer.build((None, None, 3))
    >>> ops.convert_to_numpy(layer.cell.bias)[0].tolist()
    [3.0, 3.0, 0.0, 0.0, 0.0, 0.0]
    """

    def __init__(self, value: float = 1.0):
        self.value = number("value", value)

    def signs(self, cell: Cell) -> dict[str, int]:
        keeping = {gate: s for gate, s in cell.memory_gates.items() if s > 0}
        # If gates compete, one share goes to 1 only if the other goes to 0.
        return cell.memory_gates if cell.gates_compete or not keeping else keeping

    def values(self, units: int) -> Any:
        return ops.full((units,), self.value, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value}
