"""The catalogue: registered cells by name."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import keras

from keras_rnnx._errors import unknown
from keras_rnnx.cells._base.reference import references

_CELLS: dict[str, type[Any]] = {}
_PACKAGE = "keras_rnnx.cells."


class CellInfo(NamedTuple):
    """One row of the catalogue.

    Attributes:
        name: the name `keras_rnnx.cells.get` takes.
        cls: the cell class.
        states: names of the states, the output first.
        gates: names of the gates, in the order of their columns in the kernels.
        paper: authors and year of the sources, or an empty string.
        year: year of the first paper, or None.
        summary: first line of the docstring.
    """

    name: str
    cls: type[Any]
    states: tuple[str, ...]
    gates: tuple[str, ...]
    paper: str
    year: int | None
    summary: str


def cell_name(cls: type[Any]) -> str:
    """The catalogue name of a class: `LeakyRNNCell` is "leaky_rnn"."""
    name = re.sub(r"Cell$", "", cls.__name__)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return name.lower()


def register(
    cls: type[Any] | None = None, *, name: str | None = None, package: str | None = None
) -> Any:
    """Class decorator that puts a `Cell` into the catalogue.

    `keras_rnnx.cells.get` makes a registered cell, `catalog` lists it, a search can
    tune it by name, and `keras.models.load_model` can load it.

    Args:
        cls: the class, when used as a bare decorator.
        name: its name in the catalogue. Default: the class name in snake case
            without `Cell`.
        package: the package under which Keras serializes it. Default: the top-level
            name of the module that defines the class.

    Raises:
        ValueError: if another class holds the name already.

    Example:

    >>> @keras_rnnx.cells.register
    ... class MinimalCell(keras_rnnx.cells.Cell):
    ...     states = ("h",)
    ...     gates = ("h",)
    ...     def update(self, state, gate):
    ...         return keras_rnnx.cells.State(h=keras.ops.tanh(gate.h))
    """
    if cls is None:
        return lambda cls: register(cls, name=name, package=package)
    name = name or cell_name(cls)
    held = _CELLS.get(name)
    # The same class defined anew (a notebook cell run twice) takes its own place.
    if held is not None and _origin(held) != _origin(cls):
        raise ValueError(
            f"Cannot register {cls.__qualname__} as {name!r}: "
            f"{held.__module__}.{held.__qualname__} holds that name. "
            f"Choose another with @register(name=...)."
        )
    package = package or cls.__module__.split(".")[0]
    cls = keras.saving.register_keras_serializable(package=package)(cls)
    _CELLS[name] = cls
    return cls


def _origin(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def names() -> list[str]:
    """The names of all registered cells, sorted."""
    return sorted(_CELLS)


def built_in() -> list[type[Any]]:
    """The registered classes of the package itself, by name of the class."""
    classes = [cls for cls in _CELLS.values() if cls.__module__.startswith(_PACKAGE)]
    return sorted(classes, key=lambda cls: cls.__name__)


def catalog_name(name: str) -> str:
    """The catalogue name of a cell that is named by its class or its layer.

    Args:
        name: "leaky_rnn", "LeakyRNN" or "LeakyRNNCell".

    Raises:
        ValueError: if no cell or several cells have this name, with similar names.
    """
    if name in _CELLS:
        return name
    named: dict[type[Any], str] = {}
    for held, cls in _CELLS.items():
        if name in (cls.__name__, cls.__name__.removesuffix("Cell")):
            named.setdefault(cls, held)
    if len(named) != 1:
        raise unknown("cell", name, named.values() or _CELLS)
    return next(iter(named.values()))


def lookup(name: str) -> type[Any]:
    """The registered class of a name, in any form that `catalog_name` takes.

    Raises:
        ValueError: if there is none, with similar names.
    """
    return _CELLS[catalog_name(name)]


def get(name: str, units: int, **kwargs: object) -> keras.layers.Layer:
    """Makes a cell of the catalogue.

    Args:
        name: its name, as in `names()`, or that of its layer or class: "leaky_rnn",
            "LeakyRNN" or "LeakyRNNCell".
        units: number of units.
        **kwargs: other arguments of the cell.

    Returns:
        A new cell.

    Raises:
        ValueError: for an unknown name or argument, with the nearest valid ones.

    Example:

    >>> keras_rnnx.cells.get("lstm", units=8).state_size
    [8, 8]
    """
    return lookup(name)(units, **kwargs)


def catalog() -> list[CellInfo]:
    """All registered cells with their papers, by year and name."""
    rows = []
    for name, cls in _CELLS.items():
        papers = references(cls.paper)
        summary = (cls.__doc__ or "").strip().split("\n")[0]
        rows.append(
            CellInfo(
                name,
                cls,
                cls.states,
                cls.gates,
                "; ".join(map(str, papers)) or str(cls.paper or ""),
                papers[0].year if papers else None,
                summary,
            )
        )
    return sorted(rows, key=lambda row: (row.year or 9999, row.name))
