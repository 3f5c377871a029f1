"""The search space, and how a trial draws from it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from keras_rnnx._errors import unknown
from keras_rnnx.cells import ranges
from keras_rnnx.cells.registry import lookup
from keras_rnnx.tuner._space.hyperparameters import (
    NONE,
    PRESETS,
    Hyperparameter,
    declared,
)


class Space:
    """The hyperparameters of a search.

    Args:
        hyperparameters: all hyperparameters, each after those that it depends on.
        preset: "quick", "standard" or "thorough": which of them are searched.
        changes: by name, another range: a list of values, a pair `(low, high)` of
            bounds, `(low, high, "log")`, one of `keras_rnnx.cells.ranges`; a value, to
            fix it; or None, to leave it at its default. New names are added, as
            arguments of the model.
        cells: names of the cells to choose from.

    Raises:
        ValueError: for an unknown preset, and for changes that are not ranges.
    """

    def __init__(
        self,
        hyperparameters: Iterable[Hyperparameter],
        preset: str,
        changes: Mapping[str, Any] | None,
        cells: tuple[str, ...],
    ):
        if preset not in PRESETS:
            raise unknown("preset", preset, PRESETS)
        if not isinstance(changes or {}, Mapping):
            raise ValueError(
                f"`space` maps names of hyperparameters to ranges or values, received "
                f"{changes!r}."
            )
        self.cells = cells
        self.hyperparameters = []
        changes = dict(changes or {})
        for parameter in hyperparameters:
            if PRESETS.index(parameter.preset) > PRESETS.index(preset):
                parameter = dataclasses.replace(parameter, values=None)
            if parameter.name in changes:
                parameter = _changed(parameter, changes[parameter.name])
            self.hyperparameters.append(parameter)
        names = {parameter.name for parameter in self.hyperparameters}
        for name in changes.keys() - names:
            self._check_added(name, changes[name])
        self._options = {
            name: changes[name] for name in changes if "/" in name and name not in names
        }
        self.hyperparameters += [
            _changed(Hyperparameter(name, None, None, part="model"), change)
            for name, change in changes.items()
            if name not in names and name not in self._options
        ]
        if "cell" in changes:
            raise ValueError(
                "`space` names 'cell', but `cells` are the cells to choose from: pass "
                "cells=[...]."
            )
        self.searched = {
            parameter.name for parameter in self.hyperparameters if parameter.values
        }
        self._searches_options = preset != "quick"

    @property
    def fixed(self) -> dict[str, Any]:
        """The hyperparameters that are not searched, with their values."""
        values = {
            parameter.name: parameter.default
            for parameter in self.hyperparameters
            if not parameter.values
        }
        return values | self._options

    def _check_added(self, name: str, change: Any) -> None:
        cell, slash, option = name.partition("/")
        if not slash:
            return
        if cell not in self.cells:
            raise unknown("cell in `space`", cell, self.cells)
        cls = lookup(cell)
        if option not in cls.options:
            raise unknown(f"option of {cell!r} in `space`", option, cls.options)
        drawn = not declared(cls) and change is None
        if drawn or _is_range(change):
            raise ValueError(
                f"`space` has {name!r}: {change!r}, but the cell itself decides what "
                f"this option is searched over. Pass a value to fix it."
            )

    def declare(self, hp: Any) -> None:
        """Registers the whole space, including what other cells would draw."""
        self.draw(hp)
        for cell in self.cells:
            if not declared(lookup(cell)):
                other = type(hp)()
                other.values = {"cell": cell}
                self.draw(other)
                hp.merge(other, overwrite=False)

    def draw(self, hp: Any) -> dict[str, Any]:
        """Draws the values of a trial.

        Args:
            hp: a `keras_tuner.HyperParameters`.

        Returns:
            The values that the trial uses, by the argument that they set. The options
            of the chosen cell are under "options".
        """
        drawn: dict[str, Any] = {}
        others: dict[str, Any] = {}
        options: dict[str, Any] = {}
        for parameter in self.hyperparameters:
            conditions = self._conditions(parameter.cells, parameter.when)
            met = _met(conditions, drawn)
            value = parameter.default
            if parameter.values:
                with self._scopes(hp, conditions):
                    value = parameter.values.draw(hp, parameter.name, parameter.default)
            if met:
                drawn[parameter.name] = value
                (options if parameter.part == "option" else others)[
                    parameter.target
                ] = value
        return {**others, "options": options | self._draw_options(hp, drawn)}

    def _conditions(
        self, cells: Iterable[str] | None, when: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        if cells is None or set(cells) == set(self.cells):
            return when
        return (("cell", tuple(cells)), *when)

    @contextlib.contextmanager
    def _scopes(self, hp: Any, conditions: Iterable[tuple[str, Any]]) -> Iterator[None]:
        """Enters the scopes of the conditions about searched hyperparameters."""
        with contextlib.ExitStack() as scopes:
            for name, values in conditions:
                if name in self.searched:
                    scopes.enter_context(hp.conditional_scope(name, list(values)))
            yield

    def _draw_options(self, hp: Any, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The fixed options, and the options of cells with a `search_space` method."""
        prefix = f"{drawn['cell']}/"
        options = {
            name.removeprefix(prefix): value
            for name, value in self._options.items()
            if name.startswith(prefix) and value is not None
        }
        for cell in self.cells if self._searches_options else ():
            if declared(lookup(cell)):
                continue
            recipe = f"{cell}/recipe"
            conditions = self._conditions((cell,), ((recipe, (NONE,)),))
            with self._scopes(hp, conditions), hp.name_scope(cell):
                # In an inactive scope every draw returns None, and a cell cannot
                # compute with None.
                if cell == drawn["cell"] and drawn.get(recipe, NONE) == NONE:
                    options = lookup(cell).search_space(hp) | options
        return options


def _met(
    conditions: Iterable[tuple[str, tuple[Any, ...]]], drawn: Mapping[str, Any]
) -> bool:
    return all(name in drawn and drawn[name] in values for name, values in conditions)


def _is_range(change: Any) -> bool:
    return isinstance(change, (*ranges.KINDS, list, tuple))


def _changed(parameter: Hyperparameter, change: Any) -> Hyperparameter:
    """A hyperparameter with a change of `space`."""
    if change is None:
        return dataclasses.replace(parameter, values=None)
    if not _is_range(change):
        return dataclasses.replace(parameter, values=None, default=change)
    try:
        values = _range(change, parameter.values)
    except ValueError as error:
        raise ValueError(
            f"`space` names {parameter.name!r} with {change!r}: {error}"
        ) from (error)
    if parameter.default is not None and values.holds(parameter.default):
        return dataclasses.replace(parameter, values=values)
    return dataclasses.replace(parameter, values=values, default=_middle(values))


def _range(change: Any, usual: Any) -> Any:
    if isinstance(change, ranges.KINDS):
        return change
    if isinstance(change, list):
        return ranges.Choice(change)
    whole = all(isinstance(bound, int) for bound in change[:2])
    log = isinstance(usual, (ranges.Log, ranges.LogInt))
    if len(change) == 3 and change[2] == "log":
        log = True
    elif len(change) != 2:
        raise ValueError(
            "bounds are (low, high) or (low, high, 'log'), and values are a list"
        )
    if isinstance(usual, ranges.Uniform) and not isinstance(usual, ranges.Int):
        whole = False
    kinds = {
        (True, True): ranges.LogInt,
        (True, False): ranges.Int,
        (False, True): ranges.Log,
        (False, False): ranges.Uniform,
    }
    return kinds[whole, log](*change[:2])


def _middle(values: Any) -> Any:
    if isinstance(values, ranges.Boolean):
        return False
    if isinstance(values, ranges.Choice):
        return values.examples()[0]
    low, high = values.low, values.high
    if isinstance(values, (ranges.Log, ranges.LogInt)):
        middle = math.sqrt(low * high)
    else:
        middle = (low + high) / 2
    return round(middle) if isinstance(values, ranges.Int) else middle
