"""The description of a cell of the catalogue, for pages and the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from keras_rnnx import layers
from keras_rnnx._docstrings import CellText, cell_text, without_default
from keras_rnnx._docstrings import shown as shown
from keras_rnnx.cells import registry
from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.reference import references
from keras_rnnx.cells._lowering.kernel_uses import KernelUse, kernels, linear_with

ONE_OF_EACH = "reads inputs and state"


class StateRow(NamedTuple):
    """A state: its name, its shape without the batch, and its special properties."""

    state: str
    shape: str
    kind: str


class GateRow(NamedTuple):
    """A gate: its name, what it reads, and how its parts are combined."""

    gate: str
    kind: str


class WeightRow(NamedTuple):
    """A weight: its name, shape, size, and whether it is trained."""

    weight: str
    shape: tuple[int, ...]
    size: int
    trained: bool


class OptionRow(NamedTuple):
    """An argument that only this cell has: its name, default and meaning."""

    argument: str
    default: str
    meaning: str


class Description(NamedTuple):
    """The description of a cell.

    Attributes:
        info: its row in the catalogue.
        text: its docstring, in parts.
        cell: a built cell with its defaults.
        features: number of inputs for which it is built.
        layer: name of its layer in `keras_rnnx.layers`, or None.
        states, gates, weights, options: rows of each.
        linear: the arguments that make it linear in its state: an empty dict if it
            always is, None if it never is.
        kernels: the vendors' kernels that compute it, and with which arguments.
    """

    info: registry.CellInfo
    text: CellText
    cell: Cell
    features: int
    layer: str | None
    states: list[StateRow]
    gates: list[GateRow]
    weights: list[WeightRow]
    options: list[OptionRow]
    linear: dict[str, Any] | None
    kernels: list[KernelUse]

    @property
    def use(self) -> str:
        """What the cell is for."""
        return self.info.cls.use

    @property
    def arxiv(self) -> str:
        """The number of its paper at arXiv, or an empty string."""
        papers = references(self.info.cls.paper)
        return papers[0].arxiv if papers else ""

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""
        return sum(row.size for row in self.weights if row.trained)


def describe(name: str, features: int = 64, units: int = 128) -> Description:
    """Describes a cell of the catalogue.

    Args:
        name: its name, as `keras_rnnx.cells.get` takes it.
        features: number of inputs, for the weights. Default 64.
        units: number of units, for the weights. Default 128.

    Returns:
        Its description.

    Raises:
        ValueError: for an unknown name, with similar names, or for a number of units
            that the cell does not take.

    Example:

    >>> describe("gru").parameters
    74496
    """
    name = registry.catalog_name(name)
    cls = registry.lookup(name)
    (info,) = (row for row in registry.catalog() if row.name == name)
    # Only the shapes of the weights matter, so any seed will do.
    cell = cls(units, seed=0)
    cell.build((None, features))
    text = cell_text(cls)
    return Description(
        info,
        text,
        cell,
        features,
        _layer(cls),
        [_state(cell, state, size) for state, size in _states(cell)],
        [GateRow(gate, gate_kind(cell, gate)) for gate in cell.gates],
        [
            WeightRow(v.name, tuple(v.shape), math.prod(v.shape), v.trainable)
            for v in cell.weights
        ],
        [
            OptionRow(option, shown(default), _meaning(text, option))
            for option, default in cls.options.items()
        ],
        linear_with(cls),
        kernels(cls),
    )


def _meaning(text: CellText, option: str) -> str:
    # An option may be a standard argument with another default.
    standard = cell_text(Cell).arguments
    meaning = text.arguments.get(option, standard.get(option, ""))
    return without_default(meaning)


def _layer(cls: type[Cell]) -> str | None:
    for name, layer in vars(layers).items():
        if getattr(layer, "cell_class", None) is cls:
            return name
    return None


def _states(cell: Cell) -> Iterator[tuple[str, int]]:
    sizes = cell.state_size if isinstance(cell.state_size, list) else [cell.units]
    return zip(cell.state_names, sizes)


def _state(cell: Cell, name: str, size: int) -> StateRow:
    kinds = []
    if name == cell.states[0]:
        kinds.append("the output")
    if name in cell.linear_states:
        kinds.append("linear")
    if name == "window" and cell.window > 1:
        kinds.append("inputs of the steps before")
    if name in cell.state_kinds:
        of = {"count": "a count of steps", "positive": "positive"}
        kinds.append(of.get(cell.state_kinds[name], cell.state_kinds[name]))
    return StateRow(name, f"({size},)", ", ".join(kinds))


def gate_kind(cell: Cell, gate: str) -> str:
    """In words, what a gate reads and how its parts are combined."""
    if gate in cell.inputs_only:
        return "reads the inputs alone"
    late = "its matrix multiplies a vector that the equation computes (late)"
    if gate in cell.states_only:
        reads = "reads the state alone"
        if gate in cell.projection:
            reads += ", in `projection_kernel`, and is as wide as the output"
        return f"{reads}; {late}" if gate in cell.late else reads
    if gate in cell.late:
        return f"{ONE_OF_EACH}; {late}"
    if gate in cell.split:
        return f"{ONE_OF_EACH}; the equation reads its two parts separately (split)"
    if cell.diagonal:
        return f"{ONE_OF_EACH}; each unit only its own state (diagonal)"
    return ONE_OF_EACH


def written(arguments: dict[str, Any]) -> str:
    """Arguments as in a call, or "its defaults" if there are none."""
    return ", ".join(f"{k}={v!r}" for k, v in arguments.items()) or "its defaults"


def search_space(cls: type[Any]) -> list[Any]:
    """The cell's own hyperparameters, as `Cell.search_space` draws them.

    Args:
        cls: the class of the cell.

    Returns:
        KerasTuner's hyperparameters, in the order in which they are drawn.

    Raises:
        ImportError: if KerasTuner is not installed and the cell has a search space.
    """
    declared = "search_space" not in {
        name for base in cls.__mro__[: cls.__mro__.index(Cell)] for name in vars(base)
    }
    if declared and not cls.search:
        return []
    try:
        import keras_tuner
    except ModuleNotFoundError as error:
        raise ImportError(
            "Search spaces need KerasTuner: pip install 'keras-rnnx[tuner]'."
        ) from error
    hp = keras_tuner.HyperParameters()
    cls.search_space(hp)
    return hp.space


def searched(parameter: Any) -> str:
    """In words, the range of a hyperparameter."""
    config = parameter.get_config()
    kind = type(parameter).__name__
    if kind == "Choice":
        return "one of " + ", ".join(map(str, config["values"]))
    if kind == "Boolean":
        return "True or False"
    if kind == "Fixed":
        return f"fixed at {config['value']}"
    low, high = config["min_value"], config["max_value"]
    scale = {"log": ", on a logarithmic scale", "reverse_log": ", reversed logarithmic"}
    return f"{low} to {high}{scale.get(config.get('sampling'), '')}"
