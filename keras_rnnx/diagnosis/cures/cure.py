"""Cures: each is one change of a model, as code and as something to do."""

from __future__ import annotations

import abc
import dataclasses
import inspect
from typing import Any

import keras
import numpy as np

from keras_rnnx._sublayers import walk
from keras_rnnx.diagnosis._measures.gradients import inner_optimizer
from keras_rnnx.diagnosis.cures import _units
from keras_rnnx.diagnosis.cures._code import as_code, call, public_name
from keras_rnnx.diagnosis.cures._treatment import Refused, Treatment

# Which weight an argument decides on.
DRAWN = {
    "kernel_initializer": "kernel",
    "recurrent_initializer": "recurrent_kernel",
    "bias_initializer": "bias",
}


class Cure(abc.ABC):
    """A change of a model. `print` it: it shows as the code that makes the change."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What it is, in a few words, for tables."""

    @property
    @abc.abstractmethod
    def code(self) -> str:
        """The change as code."""

    @abc.abstractmethod
    def prescribe(self, treatment: Treatment) -> None:
        """Adds the change to what is done to a copy of a model.

        Raises:
            Refused: if it can't be applied to this model.
        """

    @property
    def applies(self) -> bool:
        """Whether it is a change of a model at all, and not advice."""
        return True

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(self.code)

    def __str__(self) -> str:
        return self.code


@dataclasses.dataclass(frozen=True, eq=False)
class OtherLayer(Cure):
    """Other arguments of a recurrent layer, or another cell in its place.

    In a `Stack` all layers change, in a `Bidirectional` both directions. What is not
    named stays as it is, and with another cell the rates of dropout, the regularizers
    and the arguments of the loop.

    Args:
        layer: name of the layer, as in the report.
        written: name of the layer's class in `keras_rnnx.layers`, as in the code.
        units: its number of units; of a stack a list.
        arguments: those that change.
        cell: name of another cell; None: the layer keeps its own.
        in_stack: whether it is a `Stack`.
        both: whether both directions change.
        alone: whether there is no other recurrent layer, so that a name is enough
            without that of the layer.
        anew: whether all weights of the layer are drawn anew.
    """

    layer: str
    written: str
    units: Any
    arguments: dict[str, Any]
    cell: str | None = None
    in_stack: bool = False
    both: bool = False
    alone: bool = False
    anew: bool = False

    @property
    def name(self) -> str:
        parts = list(dict.fromkeys(_named(k, v) for k, v in self.arguments.items()))
        parts += ["drawn anew"] * self.anew
        said = " with ".join(filter(None, [self.written, ", ".join(parts)]))
        return said if self.alone else f"{said} in {self.layer}"

    @property
    def code(self) -> str:
        name, first = self.written, str(self.units)
        if self.in_stack:
            name, first = "Stack", f'"{self.written}", {self.units}'
        given = [first, *(f"{k}={as_code(v)}" for k, v in self.arguments.items())]
        comment = "  # in both directions" if self.both else ""
        return f"keras_rnnx.layers.{name}({', '.join(given)}){comment}"

    def prescribe(self, treatment: Treatment) -> None:
        layer = treatment.layers.get(self.layer)
        if layer is None:
            names = ", ".join(treatment.layers)
            raise Refused(f"the model has no layer {self.layer}, but {names}")
        drawn = frozenset(DRAWN[k] for k in self.arguments if k in DRAWN)
        for unit in _units.units_of(treatment.model, layer):
            if id(unit) in treatment.changes:
                raise Refused(f"another cure changes {unit.name} too")
            treatment.changes[id(unit)] = self._change
            treatment.redrawn[id(unit)] = drawn | ({"*"} if self.anew else set())

    def _change(self, unit: keras.Layer) -> tuple[keras.Layer, bool]:
        return _units.changed(unit, self.cell, self.arguments)


@dataclasses.dataclass(frozen=True, eq=False)
class OtherOptimizer(Cure):
    """The same optimizer with other arguments, such as a limit for gradients.

    Args:
        optimizer: class of the optimizer.
        rate: its learning rate, a number or a schedule.
        arguments: those that change.
    """

    optimizer: type[Any]
    rate: Any
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        return ", ".join(_named(k, v) for k, v in self.arguments.items())

    @property
    def code(self) -> str:
        if list(self.arguments) == ["learning_rate"]:
            rate = self.arguments["learning_rate"]
            return f"model.optimizer.learning_rate = {as_code(rate)}"
        rate = self.arguments.get("learning_rate", self.rate)
        others = {k: v for k, v in self.arguments.items() if k != "learning_rate"}
        given = [as_code(rate), *(f"{k}={as_code(v)}" for k, v in others.items())]
        made = f"{public_name(self.optimizer)}({', '.join(given)})"
        return f"model.compile({made}, model.loss)"

    def prescribe(self, treatment: Treatment) -> None:
        if not getattr(treatment.model, "compiled", False):
            raise Refused("the model is not compiled")
        config = inner_optimizer(treatment.model.optimizer).get_config()
        for name in self.arguments:
            if name not in config:
                kind = type(inner_optimizer(treatment.model.optimizer)).__name__
                raise Refused(f"{kind} has no argument {name}")
        treatment.optimizer |= self.arguments


@dataclasses.dataclass(frozen=True, eq=False)
class Converted(Cure):
    """Layers of this package in place of those of Keras, with the same weights."""

    @property
    def name(self) -> str:
        return "keras_rnnx.convert"

    @property
    def code(self) -> str:
        return "keras_rnnx.convert(model)"

    def prescribe(self, treatment: Treatment) -> None:
        treatment.convert = True


@dataclasses.dataclass(frozen=True, eq=False)
class InFront(Cure):
    """A layer in front of the model.

    Args:
        layer: the layer.
        why: a comment in the code.
    """

    layer: keras.Layer
    why: str

    @property
    def name(self) -> str:
        return f"{type(self.layer).__name__} in front"

    @property
    def code(self) -> str:
        return f"{call(type(self.layer), {})}  # {self.why}"

    def prescribe(self, treatment: Treatment) -> None:
        model = treatment.model
        inputs = getattr(model, "inputs", None) or []
        if len(inputs) != 1 or len(inputs[0].shape) != 3:
            raise Refused("the model has no single input (batch, time, features)")
        if not keras.backend.is_float_dtype(inputs[0].dtype):
            raise Refused(f"its input holds {inputs[0].dtype}, not numbers to change")
        masking = keras.layers.Masking
        scales = isinstance(self.layer, keras.layers.Normalization)
        if scales and any(isinstance(each, masking) for _, each in walk(model)):
            raise Refused("Masking looks for a value that would be another one then")
        made = type(self.layer).from_config(self.layer.get_config())
        if isinstance(made, keras.layers.Normalization):
            made.adapt(np.asarray(keras.tree.flatten(treatment.x)[0]))
        treatment.front = made


@dataclasses.dataclass(frozen=True, eq=False)
class StopEarly(Cure):
    """Training ends where the validation loss does not fall, with the best weights.

    Args:
        patience: number of validations without a better loss.
    """

    patience: int = 3

    @property
    def name(self) -> str:
        return f"EarlyStopping(patience={self.patience})"

    @property
    def code(self) -> str:
        return (
            f"keras.callbacks.EarlyStopping(patience={self.patience}, "
            f"restore_best_weights=True)"
        )

    def prescribe(self, treatment: Treatment) -> None:
        treatment.patience = self.patience


@dataclasses.dataclass(frozen=True, eq=False)
class Together(Cure):
    """Several cures at once.

    Args:
        cures: the cures.
    """

    cures: tuple[Cure, ...]

    @property
    def name(self) -> str:
        return " and ".join(cure.name for cure in self.cures)

    @property
    def code(self) -> str:
        return "\n".join(cure.code for cure in self.cures)

    def prescribe(self, treatment: Treatment) -> None:
        for cure in self.cures:
            cure.prescribe(treatment)


@dataclasses.dataclass(frozen=True, eq=False)
class Advice(Cure):
    """Code that helps, and is not a change of the model.

    Args:
        text: the code.
        reason: why `try_cures` does not try it.
    """

    text: str
    reason: str

    @property
    def name(self) -> str:
        return self.text.splitlines()[0]

    @property
    def code(self) -> str:
        return self.text

    @property
    def applies(self) -> bool:
        return False

    def prescribe(self, treatment: Treatment) -> None:
        raise Refused(self.reason)


def written(cures: tuple[Cure, ...]) -> str:
    """The code of some cures, in lines."""
    return "\n".join(cure.code for cure in cures)


def _named(argument: str, value: Any) -> str:
    """An argument in a name: of an object the class says enough."""
    if not hasattr(value, "get_config"):
        return f"{argument}={as_code(value)}"
    name = type(value).__name__
    parameters = inspect.signature(type(value)).parameters.values()
    config = value.get_config()
    shown = [
        f"{p.name}={as_code(config[p.name])}" if number else as_code(config[p.name])
        for number, p in enumerate(parameters)
        if p.name in config and config[p.name] not in (None, p.default)
    ]
    return f"{name}({', '.join(shown)})" if shown else name
