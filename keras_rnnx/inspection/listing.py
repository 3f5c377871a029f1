"""The output of `keras-rnnx cells`: the catalogue, or one cell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import rich.console
import rich.padding
import rich.text

from keras_rnnx import layers
from keras_rnnx._docstrings import parted
from keras_rnnx.cells import Cell, registry
from keras_rnnx.cells._lowering.kernel_uses import KernelUse, kernels, linear_with
from keras_rnnx.engine.plan import plan
from keras_rnnx.inspection import describe
from keras_rnnx.inspection.table import Table


class CatalogRow(NamedTuple):
    """One row of the catalogue."""

    name: str
    states: str
    gates: str
    paper: str
    year: str


class LinearRow(NamedTuple):
    """One row of the cells that are linear in their state, or can be."""

    name: str
    linear_with: str
    states: str
    gates: str
    paper: str


class KernelRow(NamedTuple):
    """One row of the cells that a kernel of cuDNN computes exactly."""

    name: str
    kernels: str
    states: str
    gates: str
    paper: str


class LinearKernelRow(NamedTuple):
    """One row of the cells that are, or can be, linear and computed by cuDNN."""

    name: str
    linear_with: str
    kernels: str
    states: str
    paper: str


class Listing(Table):
    """Rows of the catalogue."""

    empty = "No cell of the catalogue fits all filters."


def listing(
    linear: bool = False, cudnn: bool = False, since: int | None = None
) -> Listing:
    """The catalogue, or part of it.

    Args:
        linear: only cells that are linear in their state, always or with an argument.
        cudnn: only cells that a kernel of cuDNN computes exactly, with some arguments.
        since: only cells whose paper is from that year or later; cells without a year
            are left out.
    """
    rows = Listing()
    for info in registry.catalog():
        linear_by = linear_with(info.cls) if linear else None
        uses = kernels(info.cls) if cudnn else []
        old = since is not None and (info.year is None or info.year < since)
        if old or (linear and linear_by is None) or (cudnn and not uses):
            continue
        fields = {
            "name": info.name,
            "linear_with": describe.written(linear_by or {}),
            "kernels": "; ".join(map(_kernel, uses)),
            "states": " ".join(info.states),
            "gates": " ".join(info.gates),
            "paper": info.paper,
            "year": str(info.year or ""),
        }
        kind: Any = {
            (False, False): CatalogRow,
            (True, False): LinearRow,
            (False, True): KernelRow,
            (True, True): LinearKernelRow,
        }[linear, cudnn]
        rows.append(kind(*(fields[field] for field in kind._fields)))
    return rows


def _kernel(use: KernelUse) -> str:
    return f"{use.kernel} with {describe.written(use.arguments)}"


class EngineRow(NamedTuple):
    """The engine of a cell on the backend in use."""

    when: str
    engine: str
    kernel: str
    reason: str


class Weight(NamedTuple):
    """A weight of a cell."""

    weight: str
    shape: str
    parameters: str


class Searched(NamedTuple):
    """A hyperparameter that only this cell has."""

    argument: str
    searched: str


def about(description: describe.Description) -> rich.console.Group:
    """The description of a cell, for a terminal.

    Args:
        description: of the cell.
    """
    return rich.console.Group(*_parts(description))


def _parts(description: describe.Description) -> Iterator[Any]:
    text, info, cell = description.text, description.info, description.cell
    yield rich.text.Text(f"{info.name}: keras_rnnx.cells.{info.cls.__name__}", "bold")
    for paragraph in (text.summary, *text.body):
        for part in parted(paragraph):
            lines = [part] if isinstance(part, str) else part
            for line in lines:
                indent = 2 if isinstance(part, str) else 6
                yield _indented(line.replace("`", ""), indent)
    if description.use:
        yield _heading("When to use it")
        yield _indented(description.use.replace("`", ""), 2)
    yield _heading("Facts")
    layer = (
        f"keras_rnnx.layers.{description.layer}"
        if description.layer
        else "none of its own"
    )
    arxiv = f", https://arxiv.org/abs/{description.arxiv}" if description.arxiv else ""
    linear = "no" if description.linear is None else "yes"
    if description.linear:
        linear = f"with {describe.written(description.linear)}"
    facts = {
        "layer": layer,
        "paper": (info.paper or "none is stated") + arxiv,
        "linear in the state": linear,
        "cuDNN computes it": "; ".join(map(_kernel, description.kernels)) or "no",
        "parameters": f"{description.parameters:,} with {description.features} inputs "
        f"and {cell.units} units",
    }
    for name, value in facts.items():
        yield _indented(f"{name}: {value}", 2)
    yield Table(description.states)
    yield Table(description.gates)
    yield Table(
        Weight(
            row.weight,
            str(row.shape),
            f"{row.size:,}" if row.trained else f"{row.size:,}, not trained",
        )
        for row in description.weights
    )
    yield _heading(f"Engines, on {keras.backend.backend()}")
    yield Table(engines(description))
    yield _heading("Arguments of its own")
    yield (
        Table(description.options)
        if description.options
        else _indented("None but units.", 2)
    )
    yield _heading("Search space of its own")
    yield _space(info.cls)


def engines(description: describe.Description) -> list[EngineRow]:
    """The engines that a layer of the cell gets, in training and at inference."""
    layer = layers.RNN(description.cell)
    plans = {
        when: plan(layer, training)
        for when, training in {"training": True, "inference": False}.items()
    }
    return [EngineRow(when, p.engine, p.kernel, p.reason) for when, p in plans.items()]


def _space(cls: type[Cell]) -> Table | rich.padding.Padding:
    try:
        space = describe.search_space(cls)
    except ImportError as error:
        return _indented(str(error), 2)
    rows = [Searched(p.name, describe.searched(p)) for p in space]
    return Table(rows) if rows else _indented("None.", 2)


def _heading(title: str) -> rich.text.Text:
    return rich.text.Text(f"\n{title}", "bold")


def _indented(line: str, by: int) -> rich.padding.Padding:
    line = re.sub(r"\s+", " ", line)
    return rich.padding.Padding(rich.text.Text(line), (0, 0, 0, by))
