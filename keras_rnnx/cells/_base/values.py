"""The values that an equation reads and returns: states and gates by name."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any


class State(SimpleNamespace):
    """The states of a cell by name, as `update` receives and returns them.

    Example:

    >>> State(h=1.0, c=2.0).c
    2.0
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"The cell has no state {name!r}: it has {sorted(vars(self))}. Name all "
            f"states in `states`, the output first."
        )


class Vectors(SimpleNamespace):
    """The vectors of a cell by name, as `update` and lowerings receive them."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"The cell has no vector {name!r}: it has {sorted(vars(self))}. Declare "
            f'per-unit weights in `vectors`, as {{"{name}": "zeros"}}.'
        )


def _same(value: Any) -> Any:
    return value


class _Part:
    """One part (`gate.x` or `gate.u`) of the pre-activations, by gate."""

    def __init__(self, name: str, values: dict[str, Any], total: dict[str, Any]):
        self.__dict__.update(values)
        self._name, self._total = name, total

    def __getattr__(self, gate: str) -> Any:
        if gate.startswith("_"):
            raise AttributeError(gate)
        read = f"gate.{self._name}.{gate}"
        if gate in self._total:
            raise AttributeError(
                f"{read} was read, but the two parts of gate {gate!r} come as one sum, "
                f"gate.{gate}. To read each part, name it in `split`; to compute the "
                f"vector that its recurrent weights multiply, in `late`."
            )
        raise AttributeError(
            f"{read} was read, but the cell has no such part: gate.{self._name} has "
            f"{sorted(k for k in vars(self) if k[0] != '_')}. Name a gate whose parts "
            f"the equation reads in `gates`, and in `split` or `late`."
        )


class Gates:
    """The pre-activations of a cell by name, each of shape `(batch, units)`.

    `gate.k` is `W_k x + U_k h + b_k`. For a gate declared in `split`, `gate.x.k` is
    `W_k x + b_k` and `gate.u.k` is `U_k h`. For a gate declared in `late`,
    `gate.u.k` is a function: `gate.u.k(v)` is `U_k v` for any vector `v` made of the
    states and the other gates.

    Two functions depend on the arguments of the cell. Write `gate.drop(v)` where `v` is
    the new content of the state: `update_dropout` masks it there. Write `gate.norm(c)`
    where the output reads the state `c`: `layer_norm` and `batch_norm` normalize it
    there.
    """

    def __init__(
        self,
        total: dict,
        x: dict,
        u: dict,
        drop: Callable = _same,
        norm: Callable = _same,
    ):
        self.__dict__.update(total)
        self.x = _Part("x", x, total)
        self.u = _Part("u", u, total)
        self.drop = drop
        self.norm = norm

    @property
    def _names(self) -> list[str]:
        parts = (*vars(self.x), *vars(self.u))
        sums = set(vars(self)) - {"x", "u", "drop", "norm"}
        return sorted(sums.union(k for k in parts if k[0] != "_"))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in vars(self.x) or name in vars(self.u):
            raise AttributeError(
                f"gate.{name} was declared in `split` or `late`, so it has no sum: "
                f"read gate.x.{name} and gate.u.{name}."
            )
        raise AttributeError(
            f"The cell has no gate {name!r}: it has {self._names}. Name all gates in "
            f"`gates`. To read each part of a gate, name it in `split` too."
        )
