"""A model whose recurrent layers run as plain loops, and what goes through them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnx import layers as ours
from keras_rnnx.cells import Cell
from keras_rnnx.diagnosis._loop import CellLoop, Mark, Steps
from keras_rnnx.engine import masks
from keras_rnnx.engine.plan import one_by_one

# Layers whose `call` is known: it runs the cell over the steps.
KNOWN = (
    keras.layers.RNN,
    keras.layers.LSTM,
    keras.layers.GRU,
    keras.layers.SimpleRNN,
    ours.RNN,
)


@dataclasses.dataclass
class Call:
    """One call of a recurrent layer. The time is first, in the order of its steps.

    Attributes:
        layer: the layer.
        inputs: `(time, batch, features)`.
        valid: boolean `(time, batch)`; steps that a mask leaves out are False.
        first: the initial states, flat, each `(batch, width)`.
        states: behind each step, flat, each `(time, batch, width)`. Of a layer that is
            seen from outside alone its inputs stand in their place.
        masked: whether the call had a mask.
        outside: whether the layer is seen from outside alone.
    """

    layer: keras.layers.RNN
    inputs: Any
    valid: Any
    first: list[Any]
    states: list[Any]
    masked: bool
    outside: bool = False

    @functools.cached_property
    def before(self) -> list[Any]:
        """The states before each step."""
        pairs = zip(self.first, self.states)
        return [np.concatenate([first[None], s[:-1]]) for first, s in pairs]

    @property
    def lengths(self) -> Any:
        """Number of valid steps of each row, `(batch,)`."""
        return self.valid.sum(axis=0)


def refusal(layer: keras.layers.RNN) -> str | None:
    """Why a recurrent layer can't be run as a plain loop, or None if it can."""
    if type(layer).call not in [known.call for known in KNOWN]:
        return f"{type(layer).__name__} has a `call` of its own"
    cell = layer.cell
    if isinstance(cell, Cell):
        if cell.normalization and cell.normalization.notes_moments:
            return "batch_norm=True has moments for every step"
        return None
    inner = [c for c in getattr(cell, "cells", ()) if isinstance(c, Cell)]
    if any(c.random_masks.on(False) for c in inner):
        return "a stack of cells with monte_carlo=True draws masks"
    return None


class Recorder:
    """Runs a model with its recurrent layers as plain loops, at inference.

    Args:
        model: a built model.
        layers: the layers that run so; `refusal` has nothing against them.
        outside: layers that run as they are, with their inputs noted. Default: none.
    """

    def __init__(
        self,
        model: keras.Model,
        layers: list[keras.layers.RNN],
        outside: Sequence[keras.layers.RNN] = (),
    ):
        self.model, self._outside = model, outside
        self._loops = {id(layer): CellLoop(layer) for layer in layers}
        self._layers = layers

    def loop(self, layer: keras.layers.RNN) -> CellLoop:
        """The loop of a layer."""
        return self._loops[id(layer)]

    def run(
        self,
        x: Any,
        deltas: list[list[Any]] | None = None,
        mark: Mark | None = None,
    ) -> tuple[Any, list[Call]]:
        """Calls the model.

        Args:
            x: its inputs.
            deltas: for each call of a recurrent layer, in their order, what is added to
                its states (`CellLoop.run`), or to the inputs of a layer that is seen
                from outside. None: nothing.
            mark: as for `CellLoop.run`; of a layer that is seen from outside, for
                its inputs at each step.

        Returns:
            The outputs, and a `Call` for each call of a recurrent layer.
        """
        calls: list[Call] = []
        with self._looping(calls, deltas, mark), one_by_one():
            return forward(self.model, x), calls

    @contextlib.contextmanager
    def _looping(
        self, calls: list[Call], deltas: list[list[Any]] | None, mark: Mark | None
    ) -> Iterator[None]:
        put: list[tuple[dict[str, Any], str, Any]] = []

        def hold(layer: keras.Layer, name: str, value: Any) -> None:
            # Past Keras, which looks into all that is set.
            attributes = vars(layer)
            put.append((attributes, name, attributes.get(name)))
            attributes[name] = value

        try:
            for layer in self._outside:
                hold(layer, "call", self._around(layer, calls, deltas, mark))
            for layer in self._layers:
                hold(layer, "call", self._call_of(layer, calls, deltas, mark))
                if "use_cudnn" in vars(layer) and not isinstance(layer, ours.RNN):
                    # keras.layers.Bidirectional would go around both layers.
                    hold(layer, "use_cudnn", False)
            yield
        finally:
            for attributes, name, value in reversed(put):
                if value is None:
                    del attributes[name]
                else:
                    attributes[name] = value

    def _call_of(
        self,
        layer: keras.layers.RNN,
        calls: list[Call],
        deltas: Any,
        mark: Mark | None,
    ) -> Callable[..., Any]:
        loop = self.loop(layer)

        def call(
            sequences: Any,
            initial_state: Any = None,
            mask: Any = None,
            training: bool = False,
        ) -> Any:
            if isinstance(layer, ours.RNN):
                layer._tell_regularizer(mask)
            if mask is not None:
                mask = masks.column(keras.tree.flatten(mask)[0])
                sequences = masks.mask_inputs(sequences, mask)
                mask = ops.swapaxes(mask, 0, 1)
            x = ops.swapaxes(sequences, 0, 1)
            if layer.go_backwards:
                x = ops.flip(x, axis=0)
                mask = None if mask is None else ops.flip(mask, axis=0)
            if initial_state is None:
                first = loop.first_states(sequences.shape[0])
            else:
                first = loop.flat(initial_state)
            added = None if deltas is None else deltas[len(calls)]
            steps = loop.run(x, first, mask, added, mark)
            calls.append(Call(layer, x, mask, first, steps.states, mask is not None))
            return self._returned(loop, steps)

        return call

    @staticmethod
    def _around(
        layer: keras.layers.RNN, calls: list[Call], deltas: Any, mark: Mark | None
    ) -> Callable[..., Any]:
        """The call of a layer as it is, which notes its inputs."""
        own = layer.call

        def turned(steps: Any) -> Any:
            return ops.flip(steps, axis=0) if layer.go_backwards else steps

        def call(sequences: Any, *args: Any, **kwargs: Any) -> Any:
            mask = kwargs.get("mask")
            if mask is not None:
                mask = masks.column(keras.tree.flatten(mask)[0])
                mask = turned(ops.swapaxes(mask, 0, 1))
            inputs = turned(ops.swapaxes(sequences, 0, 1))
            if deltas is not None:
                (delta,) = deltas[len(calls)]
                delta = ops.swapaxes(turned(ops.convert_to_tensor(delta)), 0, 1)
                sequences = sequences + ops.cast(delta, sequences.dtype)
            if mark is not None:
                inputs = ops.stack([mark(step) for step in ops.unstack(inputs)])
                sequences = ops.swapaxes(turned(inputs), 0, 1)
            masked = mask is not None
            calls.append(Call(layer, inputs, mask, [], [inputs], masked, outside=True))
            return own(sequences, *args, **kwargs)

        return call

    @staticmethod
    def _returned(loop: CellLoop, steps: Steps) -> Any:
        layer = loop.layer
        outputs = steps.outputs
        output = ops.swapaxes(outputs, 0, 1) if layer.return_sequences else outputs[-1]
        output = ops.cast(output, layer.compute_dtype)
        if not layer.return_state:
            return output
        last = [ops.cast(s[-1], layer.compute_dtype) for s in steps.states]
        return (output, *loop.packed(last))


def as_arrays(call: Call) -> Call:
    """A call with NumPy arrays in place of tensors, and a mask in any case."""
    array = keras.ops.convert_to_numpy
    inputs = array(call.inputs)
    valid = np.ones(inputs.shape[:2], bool)
    if call.valid is not None:
        valid = array(call.valid)[..., 0]
    first, states = map(array, call.first), map(array, call.states)
    return dataclasses.replace(
        call, inputs=inputs, valid=valid, first=list(first), states=list(states)
    )


def forward(model: keras.Model, x: Any) -> Any:
    """Outputs of a model at inference."""
    parameters = inspect.signature(model.call).parameters.values()
    takes = any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)
    return model(x, training=False) if takes else model(x)
