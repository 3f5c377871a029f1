"""Which options of a cell decide on its kernels, and on whether it is linear."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._lowering.spec import Lowering

# Enough units for every group of units of a cell.
UNITS = 8
# Options about weights (their start, penalties, limits) that change no equation.
OF_WEIGHTS = ("_initializer", "_regularizer", "_constraint")


def another(x: Any) -> Any:
    """Stands for any activation that no lowering knows."""
    raise NotImplementedError


ACTIVATIONS = ("tanh", "sigmoid", "relu", "leaky_relu", "linear", another)


class KernelUse(NamedTuple):
    """A vendor's kernel that computes a cell exactly.

    Attributes:
        kernel: "lstm", "lstmp", "gru", "rnn_tanh" or "rnn_relu".
        arguments: the arguments of the cell for which it does, without defaults.
        lowering: how the kernel computes the cell.
    """

    kernel: str
    arguments: dict[str, Any]
    lowering: Lowering


def has_lowering(cls: type[Any]) -> bool:
    """Whether a cell class says anything about vendors' kernels."""
    return cls.lowering is not Cell.lowering


def unjudged(cls: type[Any]) -> list[str]:
    """Options whose values may matter to the lowering of a cell, but are not declared.

    Empty for a cell without its own lowering, since no option can change anything.
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


def _aside(name: str) -> bool:
    return name == "activation" or name.endswith(OF_WEIGHTS)


def settings(cls: type[Any]) -> Iterator[dict[str, Any]]:
    """Arguments of a cell, except `activation`, that its lowering may depend on.

    Args:
        cls: the class of the cell.

    Yields:
        The arguments that differ from the defaults, first no arguments at all. Options
        in `unjudged(cls)` keep their defaults.
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
        One for each kernel, with as few arguments as possible; those with the fewest
        come first.

    Example:

    >>> for use in kernels(keras_rnnx.cells.JANETCell):
    ...     print(use.kernel, use.arguments)
    gru {'beta': 0.0}
    """
    if not has_lowering(cls):
        return []
    uses = {}
    for arguments in sorted(_with_activations(cls), key=len):
        try:
            lowering = cls(UNITS, **arguments).lowering()
        except ValueError:
            continue  # Arguments that exclude each other.
        if isinstance(lowering, Lowering) and lowering.kernel not in uses:
            uses[lowering.kernel] = KernelUse(lowering.kernel, arguments, lowering)
    return list(uses.values())


def _with_activations(cls: type[Cell]) -> Iterator[dict[str, Any]]:
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
        An empty dict if it is always linear, the argument that makes it linear if there
        is one, or None.

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
