"""Published combinations of arguments, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_rnnx import constraints, initializers
from keras_rnnx._errors import unknown
from keras_rnnx.cells.complex import ring_of_length


@dataclass(frozen=True)
class Recipe:
    """A combination of arguments that a paper found to train.

    Attributes:
        where: the cells that it fits, in words.
        paper: authors, year and arXiv id.
        arguments: arguments of the cell by name, each a function that makes a new one.
        by_length: of these, those that take a time scale from the length of the
            sequences, each a function that makes one from the length.
        fits: whether it fits a cell class. Default: if the class has it in `recipes`.
    """

    where: str
    paper: str
    arguments: dict[str, Callable[[], Any]] = field(default_factory=dict)
    by_length: dict[str, Callable[[int], Any]] = field(default_factory=dict)
    fits: Callable[[type[Any]], bool] | None = None


def _small() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.001)


RECIPES = {
    "irnn": Recipe(
        "SimpleRNN",
        "Le, Jaitly & Hinton 2015, arXiv:1504.00941",
        {
            "activation": lambda: "relu",
            "kernel_initializer": _small,
            "recurrent_initializer": initializers.IdentityRecurrent,
            "bias_initializer": lambda: "zeros",
        },
    ),
    "np-rnn": Recipe(
        "SimpleRNN",
        "Talathi & Vartak 2015, arXiv:1511.03771",
        {
            "activation": lambda: "relu",
            "recurrent_initializer": initializers.NormalizedPositiveDefinite,
            "bias_initializer": lambda: "zeros",
        },
    ),
    "chrono": Recipe(
        "cells with a gate that keeps the state, such as LSTM and GRU",
        "Tallec & Ollivier 2018, arXiv:1804.11188",
        {"bias_initializer": initializers.Chrono},
        {"bias_initializer": lambda steps: initializers.Chrono(max(3, steps))},
        fits=lambda cls: bool(cls.memory_gates),
    ),
    "leaky": Recipe(
        "LeakyRNN",
        "after Tallec & Ollivier 2018, arXiv:1804.11188: leaky networks whose "
        "time scales cover those of the task",
        {"leak": initializers.LeakRates, "leak_trainable": lambda: True},
        {"leak": lambda steps: initializers.LeakRates(longest=max(2, steps))},
    ),
    "indrnn": Recipe(
        "IndRNN",
        "Li et al. 2018, arXiv:1803.04831",
        {
            "activation": lambda: "relu",
            "kernel_initializer": _small,
            "recurrent_initializer": initializers.UnitRange,
            "recurrent_constraint": constraints.UnitRange,
        },
        {
            "recurrent_initializer": initializers.UnitRange,
            "recurrent_constraint": constraints.UnitRange,
        },
    ),
    "ring": Recipe(
        "LRU",
        "after Orvieto et al. 2023, arXiv:2303.06349: eigenvalues nearer to the unit "
        "circle the longer the sequences are",
        {"radius_min": lambda: None, "radius_max": lambda: None},
        {
            "radius_min": lambda steps: ring_of_length(steps)[0],
            "radius_max": lambda steps: ring_of_length(steps)[1],
        },
    ),
}


def fitting(cls: type[Any]) -> list[str]:
    """Names of the recipes that fit a cell class."""
    return [
        name
        for name, recipe in RECIPES.items()
        if (recipe.fits(cls) if recipe.fits else name in cls.recipes)
    ]


def arguments(name: str, cls: type[Any], given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that a recipe sets for a cell.

    Args:
        name: of the recipe.
        cls: class of the cell.
        given: the arguments that were passed to the layer.

    Raises:
        ValueError: for an unknown recipe, for one that does not fit the cell, or if it
            sets an argument that was passed too.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    recipe = RECIPES[name]
    fits = fitting(cls)
    if name not in fits:
        recipes = f"it has {', '.join(fits)}" if fits else "it has none"
        raise ValueError(
            f"recipe={name!r} is for {recipe.where}; received {cls.__name__} "
            f"({recipes})."
        )
    for argument in recipe.arguments:
        if argument in given:
            raise ValueError(
                f"recipe={name!r} sets {argument!r}, received {argument}="
                f"{given[argument]!r} too. Leave one of them out."
            )
    return {argument: make() for argument, make in recipe.arguments.items()}


def for_length(name: str, steps: int) -> dict[str, Any]:
    """The arguments that a recipe sets for sequences of up to a number of steps.

    For layers that are built without a known length.

    Args:
        name: of the recipe.
        steps: number of steps of the longest sequence.
    """
    recipe = RECIPES[name]
    bound = {argument: make(steps) for argument, make in recipe.by_length.items()}
    return {argument: make() for argument, make in recipe.arguments.items()} | bound


def described(name: str, cell: Any) -> str:
    """In words, what a recipe set for a cell, with its paper."""
    recipe = RECIPES[name]
    values = {argument: getattr(cell, argument) for argument in recipe.arguments}
    if cell.sequence_length:
        by_length = recipe.by_length.items()
        values |= {argument: make(cell.sequence_length) for argument, make in by_length}
    arguments = ", ".join(f"{name}={_short(value)}" for name, value in values.items())
    return f"recipe {name!r} ({recipe.paper}) set {arguments}"


def _short(value: Any) -> str:
    if hasattr(value, "get_config"):
        config = value.get_config().items()
        arguments = ", ".join(f"{k}={v!r}" for k, v in config if v is not None)
        return f"{type(value).__name__}({arguments})"
    if isinstance(value, float):
        return f"{value:.7g}"
    return getattr(value, "__name__", repr(value))
