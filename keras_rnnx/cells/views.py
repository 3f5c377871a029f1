"""What an equation reads and returns: states and gates by name."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace


class State(SimpleNamespace):
    """The states of a cell by name, as `update` receives and returns them.

    Example:

    >>> State(h=1.0, c=2.0).c
    2.0
    """


def _same(value):
    return value


class _Part(SimpleNamespace):
    """One part (`gate.x` or `gate.u`) of the pre-activations, by gate."""


class Gates:
    """The pre-activations of a cell by name, each of shape `(batch, units)`.

    `gate.k` is `W_k x + U_k h + b_k`. For a gate declared in `split`, `gate.x.k` is
    `W_k x + b_k` and `gate.u.k` is `U_k h`. For a gate declared in `late`,
    `gate.u.k` is a function: `gate.u.k(v)` is `U_k v` for any vector `v` made of the
    states and the other gates.

    Two things are left to the arguments of the cell: `gate.drop(v)` is `v`, which is
    written anew to the state, under the mask of `update_dropout`; `gate.norm(c)` is `c`
    as the output reads it, normalized with `layer_norm`.
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
        self.x = _Part(**x)
        self.u = _Part(**u)
        self.drop = drop
        self.norm = norm

    @property
    def _names(self):
        return sorted(set(vars(self)) - {"drop", "norm"})

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self.x.__dict__:
            raise AttributeError(
                f"gate.{name} was declared in `split` or `late`, so it has no sum: "
                f"read gate.x.{name} and gate.u.{name}."
            )
        raise AttributeError(
            f"The cell has no gate {name!r}: it has {self._names}. To read "
            f"the two parts of a gate apart, declare it in `split`."
        )
