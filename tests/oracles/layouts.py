"""The oracles by cell, and the weights each of them reads: columns by gate, vectors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layout:
    """Gates in the order of the columns of `kernel`, `recurrent_kernel` and `bias`;
    None where there is no such weight."""

    kernel: str
    recurrent_kernel: str | None
    bias: str | None
    vectors: tuple[str, ...] = ()
    states: int = 1
    window: int = 1

    def weights(self, features, units, seed=0):
        """Random ones, all distinct."""
        rng = np.random.default_rng(seed)
        shapes = {"kernel": (self.window * features, len(self.kernel.split()) * units)}
        if self.recurrent_kernel:
            gates = len(self.recurrent_kernel.split())
            shapes["recurrent_kernel"] = (units, gates * units)
        if self.bias:
            shapes["bias"] = (len(self.bias.split()) * units,)
        shapes |= dict.fromkeys(self.vectors, (units,))
        # Small biases: rectifiers should be alive.
        scales = {"bias": 0.2}
        return {
            name: scales.get(name, 0.7) * rng.normal(size=shape)
            for name, shape in shapes.items()
        }

    def first_states(self, batch, units, seed=1):
        rng = np.random.default_rng(seed)
        return [rng.uniform(0.1, 0.9, size=(batch, units)) for _ in range(self.states)]


# By the names of the registry.
ORACLES: dict[str, Callable] = {}
LAYOUTS: dict[str, Layout] = {}
# The vendor's kernel that computes it, where one does.
KERNELS: dict[str, str] = {}
# The gates that keep the state (1) and those that write to it (-1).
KEEPING: dict[str, dict[str, int]] = {}


def register(
    name: str,
    oracle: Callable,
    layout: Layout,
    kernel: str | None = None,
    keeps: dict[str, int] | None = None,
) -> None:
    """Makes it the oracle of a cell.

    Args:
        name: of the cell in the registry.
        oracle: with the default options of the cell.
        layout: the weights that it reads.
        kernel: the vendor's kernel that has to compute the cell, if one does.
        keeps: the gates that keep the state (1) and those that write to it (-1), if
            biases of gates say how long it is kept.
    """
    if name in ORACLES:
        raise ValueError(f"{name} has an oracle already.")
    ORACLES[name], LAYOUTS[name] = oracle, layout
    if kernel:
        KERNELS[name] = kernel
    if keeps:
        KEEPING[name] = keeps
