"""What a search chooses from, and how a trial draws from it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterable, Mapping
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
        known: the hyperparameters that there are, each behind those it depends on.
        preset: "quick", "standard" or "thorough": which of them are searched.
        changes: by name, what to search instead: a list of values, a pair `(low, high)`
            of bounds, `(low, high, "log")`, one of `keras_rnnx.cells.ranges`; a value,
            to fix it; or None, to leave it at its default. Names that are not known
            are added: they are arguments of the model.
        cells: names of the cells to choose from.

    Raises:
        ValueError: for an unknown preset and for changes that name no range.
    """

    def __init__(
        self,
        known: Iterable[Hyperparameter],
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
        for one in known:
            if PRESETS.index(one.preset) > PRESETS.index(preset):
                one = dataclasses.replace(one, values=None)
            if one.name in changes:
                one = _changed(one, changes[one.name])
            self.hyperparameters.append(one)
        names = {one.name for one in self.hyperparameters}
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
                "`space` names 'cell', and `cells` are the cells to choose from: pass "
                "cells=[...]."
            )
        self.searched = {one.name for one in self.hyperparameters if one.values}
        self._searches_options = preset != "quick"

    @property
    def fixed(self) -> dict[str, Any]:
        """What is not searched, with its values."""
        found = {
            one.name: one.default for one in self.hyperparameters if not one.values
        }
        return found | self._options

    def _check_added(self, name, change):
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
                f"`space` has {name!r}: {change!r}, and what this option is searched "
                f"over is the cell's own affair. Pass a value to fix it."
            )

    def declare(self, hp: Any) -> None:
        """Draws, and tells of what other cells would draw, too."""
        self.draw(hp)
        for cell in self.cells:
            if not declared(lookup(cell)):
                other = type(hp)()
                other.values = {"cell": cell}
                self.draw(other)
                hp.merge(other, overwrite=False)

    def draw(self, hp: Any) -> dict[str, Any]:
        """Draws what a trial uses.

        Args:
            hp: a `keras_tuner.HyperParameters`.

        Returns:
            Values by what they set, without those that are not used. Those of the
            chosen cell's own options are under "options".
        """
        drawn: dict[str, Any] = {}
        found: dict[str, Any] = {}
        options: dict[str, Any] = {}
        for one in self.hyperparameters:
            conditions = self._conditions(one.cells, one.when)
            met = _met(conditions, drawn)
            value = one.default
            if one.values:
                with self._scopes(hp, conditions):
                    value = one.values.draw(hp, one.name, one.default)
            if met:
                drawn[one.name] = value
                (options if one.part == "option" else found)[one.target] = value
        return {**found, "options": options | self._draw_options(hp, drawn)}

    def _conditions(self, cells, when):
        everywhere = cells is None or set(cells) == set(self.cells)
        return when if everywhere else (("cell", tuple(cells)), *when)

    @contextlib.contextmanager
    def _scopes(self, hp, conditions):
        """The scopes of those conditions that are about what is searched."""
        with contextlib.ExitStack() as scopes:
            for name, values in conditions:
                if name in self.searched:
                    scopes.enter_context(hp.conditional_scope(name, list(values)))
            yield

    def _draw_options(self, hp, drawn):
        """The options that are fixed, and those of cells with a `search_space` that is
        a function of their own."""
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
                # In a scope that is not active every draw gives None, which a cell
                # that computes with what it draws cannot take.
                if cell == drawn["cell"] and drawn.get(recipe, NONE) == NONE:
                    options = lookup(cell).search_space(hp) | options
        return options


def _met(conditions, drawn):
    return all(name in drawn and drawn[name] in values for name, values in conditions)


def _is_range(change):
    return isinstance(change, (*ranges.KINDS, list, tuple))


def _changed(one: Hyperparameter, change: Any) -> Hyperparameter:
    """A hyperparameter as `space` has it."""
    if change is None:
        return dataclasses.replace(one, values=None)
    if not _is_range(change):
        return dataclasses.replace(one, values=None, default=change)
    try:
        values = _range(change, one.values)
    except ValueError as error:
        raise ValueError(f"`space` names {one.name!r} with {change!r}: {error}") from (
            error
        )
    if one.default is not None and values.holds(one.default):
        return dataclasses.replace(one, values=values)
    return dataclasses.replace(one, values=values, default=_middle(values))


def _range(change, usual):
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


def _middle(values):
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
