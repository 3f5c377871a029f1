"""Published combinations of arguments, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_rnnx import cells
from keras_rnnx._errors import unknown
from keras_rnnx.initializers import (
    Chrono,
    IdentityRecurrent,
    LeakRates,
    NormalizedPositiveDefinite,
)


@dataclass(frozen=True)
class Recipe:
    """A combination of arguments that a paper found to train.

    Attributes:
        fits: whether it fits a cell class.
        where: the cells that it fits, in words.
        paper: authors, year and arXiv id.
        arguments: of the cell, made anew for each layer.
    """

    fits: Callable[[type], bool]
    where: str
    paper: str
    arguments: dict[str, Callable[[], Any]] = field(default_factory=dict)


def _is(*classes):
    return lambda cls: cls in classes


RECIPES = {
    "irnn": Recipe(
        _is(cells.SimpleRNNCell),
        "SimpleRNN",
        "Le, Jaitly & Hinton 2015, arXiv:1504.00941",
        {
            "activation": lambda: "relu",
            "kernel_initializer": lambda: keras.initializers.RandomNormal(stddev=0.001),
            "recurrent_initializer": IdentityRecurrent,
            "bias_initializer": lambda: "zeros",
        },
    ),
    "np-rnn": Recipe(
        _is(cells.SimpleRNNCell),
        "SimpleRNN",
        "Talathi & Vartak 2015, arXiv:1511.03771",
        {
            "activation": lambda: "relu",
            "recurrent_initializer": NormalizedPositiveDefinite,
            "bias_initializer": lambda: "zeros",
        },
    ),
    "chrono": Recipe(
        lambda cls: bool(cls.memory_gates),
        "cells with a gate that keeps the state, such as LSTM and GRU",
        "Tallec & Ollivier 2018, arXiv:1804.11188",
        {"bias_initializer": Chrono},
    ),
    "leaky": Recipe(
        _is(cells.LeakyRNNCell),
        "LeakyRNN",
        "after Tallec & Ollivier 2018, arXiv:1804.11188: leaky networks whose "
        "time scales cover those of the task",
        {"leak": LeakRates, "leak_trainable": lambda: True},
    ),
}


def arguments(name: str, cls: type, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that a recipe sets for a cell.

    Args:
        name: of the recipe.
        cls: class of the cell.
        given: the arguments that the layer was given.

    Raises:
        ValueError: for an unknown recipe, one that does not fit the cell, or one that
            sets what is given already.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    recipe = RECIPES[name]
    if not recipe.fits(cls):
        fitting = [other for other, r in RECIPES.items() if r.fits(cls)]
        known = f"it has {', '.join(fitting)}" if fitting else "it has none"
        raise ValueError(
            f"recipe={name!r} is for {recipe.where}; received {cls.__name__} ({known})."
        )
    for argument in recipe.arguments:
        if argument in given:
            raise ValueError(
                f"recipe={name!r} sets {argument!r}, received {argument}="
                f"{given[argument]!r} too. Leave one of them out."
            )
    return {argument: make() for argument, make in recipe.arguments.items()}


def described(name: str, cell: Any) -> str:
    """What a recipe set for a cell, and whose it is."""
    recipe = RECIPES[name]
    made = ", ".join(f"{a}={_short(getattr(cell, a))}" for a in recipe.arguments)
    return f"recipe {name!r} ({recipe.paper}) set {made}"


def _short(value):
    if hasattr(value, "get_config"):
        config = value.get_config().items()
        given = ", ".join(f"{k}={v!r}" for k, v in config if v is not None)
        return f"{type(value).__name__}({given})"
    return getattr(value, "__name__", repr(value))
