"""What findings are made from, and the code that their cures are written in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras

from keras_rnnx import layers as ours
from keras_rnnx.diagnosis import _gates
from keras_rnnx.diagnosis._gradients import inner_optimizer
from keras_rnnx.diagnosis.report import LayerReport, Past, Training
from keras_rnnx.initializers import Chrono


@dataclasses.dataclass
class Patient:
    """A model with its measures.

    Attributes:
        model: the model.
        layers: its recurrent layers by name.
        measured: their measures.
        training: gradients of batches, or None.
        past: whether the past is used, or None.
    """

    model: keras.Model
    layers: dict[str, keras.layers.RNN]
    measured: dict[str, LayerReport]
    training: Training | None
    past: Past | None

    def __iter__(self) -> Iterator[tuple[keras.layers.RNN, LayerReport]]:
        for name, layer in self.layers.items():
            if name in self.measured:
                yield layer, self.measured[name]

    @property
    def optimizer(self) -> Any:
        """The optimizer that makes the updates, or None."""
        compiled = getattr(self.model, "compiled", False)
        return inner_optimizer(self.model.optimizer) if compiled else None

    @property
    def clips(self) -> bool:
        """Whether the optimizer clips gradients."""
        names = ("clipnorm", "global_clipnorm", "clipvalue")
        return any(getattr(self.optimizer, name, None) for name in names)


def code(layer: keras.layers.RNN, **arguments: str) -> str:
    """The layer of this package with some arguments, as one writes it.

    Args:
        layer: the layer.
        **arguments: code of the values.
    """
    name = type(layer.cell).__name__.removesuffix("Cell")
    name = name if hasattr(ours, name) else "LSTM"
    return of_layer(name, _units(layer.cell), **arguments)


def of_layer(name: str, units: Any, **arguments: str) -> str:
    """A layer of this package as one writes it."""
    given = [str(units), *(f"{k}={v}" for k, v in arguments.items())]
    return f"keras_rnnx.layers.{name}({', '.join(given)})"


def long_memory(layer: keras.layers.RNN, length: int) -> str:
    """A layer whose memory is as long as the data, in place of this one."""
    cell = layer.cell
    chrono = f"keras_rnnx.initializers.Chrono({max(3, length)})"
    units = _units(cell)
    if not _gates.memory_gates(cell):
        return of_layer("LSTM", units, bias_initializer=chrono)
    if isinstance(getattr(cell, "bias_initializer", None), Chrono):
        return of_layer("MinGRU", units, bias_initializer=chrono)
    return code(layer, bias_initializer=chrono)


def _units(cell: Any) -> int:
    units = getattr(cell, "units", None)
    return units if isinstance(units, int) else keras.tree.flatten(cell.state_size)[0]
