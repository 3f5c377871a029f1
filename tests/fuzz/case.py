"""One case: a layer and a call of it, as plain values that are written as a program."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from fuzz import running
from keras_rnnx import cells, layers

SOURCES = (
    *(running.built, running.single, running.given_states),
    *(running.opened, running.results),
)
# Arguments of the layer that change how it is computed and not what.
HOW = ("checkpoint", "unroll")
# Arguments of a cell, a layer or a stack that draw noise in a call.
NOISE = (
    *("dropout", "recurrent_dropout", "update_dropout", "weight_dropout"),
    *("input_weight_dropout", "zoneout", "initial_state_noise"),
    *("input_dropout", "output_dropout"),
)
PROGRAM = '''"""{title}"""

import importlib

import keras
import numpy as np

from keras_rnnx import cells, engine, layers, testing
{settings}

{functions}


def tested():
    return {tested}


def reference():
    return {reference}


call = dict({call})
call["weights"] = built(tested, call["shape"], {seed}).get_weights()
expected = results(reference, {reference_way!r}, **(call | {{"fill": 0.0}}))
found = results(tested, {way!r}, **call)
for name in expected:
    difference = np.max(np.abs(np.subtract(found[name], expected[name], dtype=float)))
    if not difference <= {tolerance!r} * max(1.0, np.max(np.abs(expected[name]))):
        print(name, difference, expected[name], found[name], sep="\\n")
'''


@dataclass(frozen=True)
class Case:
    """What is drawn.

    Attributes:
        cell: name in the catalogue.
        units: number of units, or those of each layer of a stack.
        shape: `(batch, steps, features)`.
        kind: "rnn"; "bidirectional", held to Keras' wrapper where that draws the same
            noise; "stack"; or "keras": held to Keras' layer of that name, or to the
            cell in `keras.layers.RNN`.
        arguments: of the cell.
        loop: of the layer.
        around: of the wrapper or of the stack.
        dtype: dtype policy.
        mask: a row of booleans for each sequence, or None.
        fill: what stands in masked steps.
        states: whether first states are given.
        calls: how often the layer is called before gradients are taken.
        training: whether in training.
        seed: of weights, data and masks.
        open_shapes: whether the call is in a graph of TensorFlow that knows neither the
            batch nor the number of steps.
    """

    cell: str = "simple_rnn"
    units: int | tuple[int, ...] = 1
    shape: tuple[int, int, int] = (1, 1, 1)
    kind: str = "rnn"
    arguments: dict[str, Any] = field(default_factory=dict)
    loop: dict[str, Any] = field(default_factory=dict)
    around: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    mask: tuple[tuple[bool, ...], ...] | None = None
    fill: float = 0.0
    states: bool = False
    calls: int = 1
    training: bool = False
    seed: int = 0
    open_shapes: bool = False

    @property
    def tested(self) -> str:
        """The layer, as Python writes it."""
        return self._layer(self.loop)

    @property
    def reference(self) -> str:
        """The layer that it is held to."""
        loop = {k: v for k, v in self.loop.items() if k not in HOW}
        of_keras = self.kind == "keras"
        if self.kind == "bidirectional":
            # Keras' wrapper multiplies a generator where it has states to return.
            fails = {"stateful", "return_state"} <= set(loop)
            of_keras = not self.draws and not fails
        return self._layer(loop, "keras." if of_keras else "")

    @property
    def draws(self) -> bool:
        """Whether anything is drawn in a call."""
        return any(k in self.arguments | self.loop | self.around for k in NOISE)

    @property
    def reference_way(self) -> tuple[Any, ...]:
        """What `engine.force` takes for the reference."""
        if self.arguments.get("batch_norm"):
            # Keras' loop does not count steps.
            return ("fused",)
        return () if self.kind == "keras" else ("step",)

    @property
    def call(self) -> dict[str, Any]:
        """The arguments of `results` that all runs share, but defaults."""
        parameters = inspect.signature(running.results).parameters
        named = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        shared = {k: v for k, v in named.items() if k in parameters}
        return {
            k: v
            for k, v in shared.items()
            if v != parameters[k].default or isinstance(v, float) and np.isnan(v)
        }

    def make(self, source: str) -> Any:
        """The layer that a text stands for."""
        return eval(source, {"keras": keras, "cells": cells, "layers": layers})

    def program(self, title: str, way: tuple[Any, ...], tolerance: float) -> str:
        """A program that shows what is different, without anything of this folder.

        Args:
            title: the first line.
            way: what `engine.force` takes for the engine that differs.
            tolerance: the largest error that it does not print.
        """
        settings = ""
        if self.dtype != "float32":
            settings += f"\nkeras.config.set_dtype_policy({self.dtype!r})"
        if self.dtype == "float64" and keras.backend.backend() == "jax":
            settings += '\n__import__("jax").config.update("jax_enable_x64", True)'
        return PROGRAM.format(
            title=title,
            settings=settings,
            functions="\n\n".join(map(inspect.getsource, SOURCES)).rstrip(),
            call=_keywords(self.call),
            seed=self.seed,
            reference=self.reference,
            reference_way=self.reference_way,
            tested=self.tested,
            way=way,
            tolerance=tolerance,
        )

    def _layer(self, loop, of="") -> str:
        name, units = self.cell, self.units
        stack = self.kind == "stack"
        own = {"units": units[0] if stack else units, **self.arguments}
        cell = f"cells.get({name!r}, {_keywords(own)})"
        if stack:
            around = {"units": list(units), **self.around, **loop}
            return f"layers.Stack({cell}, {_keywords(around)})"
        if self.kind == "bidirectional":
            around = f", {_keywords(self.around)}" * bool(self.around)
            layer = f"layers.RNN({cell}" + f", {_keywords(loop)}" * bool(loop) + ")"
            return f"{of}layers.Bidirectional({layer}{around})"
        layer = f"{of}layers.RNN({cell}" + f", {_keywords(loop)}" * bool(loop) + ")"
        keras_name = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "SimpleRNN"}.get(name)
        if of and keras_name:
            layer = f"keras.layers.{keras_name}({_keywords(own | loop)})"
        return layer


def _keywords(values):
    def text(value):
        plain = not isinstance(value, float) or np.isfinite(value)
        return repr(value) if plain else f"float({str(value)!r})"

    return ", ".join(f"{name}={text(value)}" for name, value in values.items())
