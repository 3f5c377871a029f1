"""What options change: the kernels a cell can run on, and whether it is linear."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._lowering.spec import Lowering

# Enough for every cell to have a unit in each of its groups.
UNITS = 8
# Options that say how weights start or are held, and change no equation.
OF_WEIGHTS = ("_initializer", "_regularizer", "_constraint")


def another(x: Any) -> Any:
    """Stands for any activation that no lowering knows."""
    raise NotImplementedError


ACTIVATIONS = ("tanh", "sigmoid", "relu", "leaky_relu", "linear", another)


class KernelUse(NamedTuple):
    """A vendor's kernel that computes a cell exactly.

    Attributes:
        kernel: "lstm", "lstmp", "gru", "rnn_tanh" or "rnn_relu".
        arguments: the arguments of the cell with which it does, but its defaults.
        lowering: how.
    """

    kernel: str
    arguments: dict[str, Any]
    lowering: Lowering


def has_lowering(cls: type[Any]) -> bool:
    """Whether a cell class says anything about vendors' kernels."""
    return cls.lowering is not Cell.lowering


def unjudged(cls: type[Any]) -> list[str]:
    """Options of which it is not known what values matter to the lowering of a cell.

    A cell without a lowering of its own has none: there is nothing they could change.
    """
    if not has_lowering(cls):
        return []
    return [
        name
        for name, default in cls.options.items()
        if not _aside(name)
        and name != "recurrent_activation"
        and not isinstance(default, bool)
        and name not in cls.lowering_values
    ]


def _aside(name):
    return name == "activation" or name.endswith(OF_WEIGHTS)


def settings(cls: type[Any]) -> Iterator[dict[str, Any]]:
    """Arguments of a cell, but `activation`, that its lowering could depend on.

    Args:
        cls: the class of the cell.

    Yields:
        Arguments that differ from the default, none of them first. Options in
        `unjudged(cls)` keep their defaults.
    """
    choices: dict[str, tuple] = {}
    if has_lowering(cls):
        for name, default in cls.options.items():
            if _aside(name):
                continue
            if name == "recurrent_activation":
                choices[name] = (default, another)
            elif isinstance(default, bool):
                choices[name] = (default, not default)
            elif name in cls.lowering_values:
                choices[name] = (default, *cls.lowering_values[name])
    for values in itertools.product(*choices.values()):
        yield {
            name: value
            for name, value in zip(choices, values)
            if value != choices[name][0]
        }


def kernels(cls: type[Any]) -> list[KernelUse]:
    """The vendors' kernels that compute a cell exactly, with some of its options.

    Args:
        cls: the class of the cell.

    Returns:
        One for each kernel, with as few arguments as it takes; those with fewest first.

    Example:

    >>> for use in kernels(keras_rnnx.cells.JANETCell):
    ...     print(use.kernel, use.arguments)
    gru {'beta': 0.0}
    """
    if not has_lowering(cls):
        return []
    found = {}
    for arguments in sorted(_with_activations(cls), key=len):
        try:
            lowering = cls(UNITS, **arguments).lowering()
        except ValueError:
            continue  # Arguments that exclude each other.
        if isinstance(lowering, Lowering) and lowering.kernel not in found:
            found[lowering.kernel] = KernelUse(lowering.kernel, arguments, lowering)
    return list(found.values())


def _with_activations(cls):
    default = cls.options.get("activation")
    for setting in settings(cls):
        yield setting
        if "activation" in cls.options:
            for activation in ACTIVATIONS:
                if activation not in (default, another):
                    yield {**setting, "activation": activation}


def linear_with(cls: type[Any]) -> dict[str, Any] | None:
    """The arguments with which a cell is linear in its state.

    Args:
        cls: the class of the cell.

    Returns:
        No arguments for a cell that always is, the one that it takes for a cell that
        can be, None for one that cannot.

    Example:

    >>> linear_with(keras_rnnx.cells.MinGRUCell)
    {}
    >>> linear_with(keras_rnnx.cells.SRUCell)
    {'peepholes': False}
    >>> linear_with(keras_rnnx.cells.LSTMCell) is None
    True
    """
    if cls.linear:
        return {}
    for name, default in cls.options.items():
        if isinstance(default, bool) and name != "use_bias":
            try:
                linear = cls(UNITS, **{name: not default}).linear
            except ValueError:
                continue
            if linear:
                return {name: not default}
    return None
