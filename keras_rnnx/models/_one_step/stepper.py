"""A trained model, run one step at a time. The caller holds its states."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_rnnx.engine import backends
from keras_rnnx.models._one_step.graph import StepGraph


class Stepper:
    """Runs a model one step at a time: what `stepper` returns.

    It reads the weights that the model has at each step.

    Attributes:
        batch_size: number of sequences.
        source: the model.
    """

    def __init__(self, model: keras.Model, batch_size: int = 1):
        whole = isinstance(batch_size, numbers.Integral) and batch_size > 0
        if not whole or isinstance(batch_size, bool):
            raise ValueError(
                f"`batch_size` must be a positive number of sequences, received "
                f"{batch_size!r}."
            )
        self.batch_size = int(batch_size)
        self._graph = StepGraph(model, self.batch_size)
        source = self.source = self._graph.source
        self._inputs, self._outputs = source.input, source.output
        inputs, states = self._graph.model.input
        flat = keras.tree.flatten(inputs)
        self._shapes = [
            (x.shape[0], *x.shape[2:]) if timed else tuple(x.shape)
            for x, timed in zip(flat, self._graph.timed)
        ]
        self._dtypes = [keras.backend.standardize_dtype(x.dtype) for x in flat]
        specs = list(zip(self._shapes, self._dtypes))
        specs += [(tuple(s.shape), s.dtype) for s in keras.tree.flatten(states)]
        self._count = len(keras.tree.flatten(states))
        backend = backends.current()
        make = uncompiled_step if backend is None else backend.stepping
        self._run = make(self._graph.model, self._flat, specs)

    def init(self) -> list[Any]:
        """The states before the first step: zeros, or those that were learned."""
        return [ops.convert_to_tensor(s) for s in self._graph.initial_states()]

    def step(self, x: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Takes one step.

        Args:
            x: inputs of one step, `(batch_size, features)`, or `(batch_size,)` for an
                embedding; with several inputs in the structure of the model's.
            states: what `init` or the step before returned. They are not changed, so
                that any number of streams can go on from the same states.

        Returns:
            The outputs of this step, without an axis of time, in the structure of the
            model's, and the next states.

        Raises:
            ValueError: for inputs or states of other shapes.
        """
        flat = keras.tree.flatten(x)
        if len(flat) != len(self._shapes) or len(states) != self._count:
            raise ValueError(
                f"The model has {len(self._shapes)} input(s) and {self._count} states, "
                f"received {len(flat)} and {len(states)}."
            )
        tensors = [
            ops.convert_to_tensor(value, dtype)
            for value, dtype in zip(flat, self._dtypes)
        ]
        for tensor, shape in zip(tensors, self._shapes):
            if tuple(tensor.shape) != shape:
                raise ValueError(
                    f"`x` must be one step, of shape {shape}, received shape "
                    f"{tuple(tensor.shape)}."
                )
        results = self._run([*tensors, *states])
        n = len(results) - self._count
        outputs = keras.tree.pack_sequence_as(self._outputs, results[:n])
        return outputs, results[n:]

    def _flat(
        self, call: Callable[[list[Any]], Any], tensors: Sequence[Any]
    ) -> list[Any]:
        """`call` of the model, from and to lists of tensors without an axis of time."""
        n = len(self._shapes)
        inputs = [
            ops.expand_dims(x, 1) if timed else x
            for x, timed in zip(tensors[:n], self._graph.timed)
        ]
        inputs = keras.tree.pack_sequence_as(self._inputs, inputs)
        outputs, states = call([inputs, list(tensors[n:])])
        outputs = [
            x[:, 0] if timed else x
            for x, timed in zip(keras.tree.flatten(outputs), self._graph.timed_outputs)
        ]
        return [*outputs, *states]


def stepper(model: keras.Model, batch_size: int = 1) -> Stepper:
    """Runs a model one step at a time, for signals that come step by step.

    The step is compiled on TensorFlow and JAX. It gives what the model gives for the
    whole sequence, as of each step: a model whose last recurrent layer has
    `return_sequences=False` gives what it would if the sequence ended there.

    Recurrent layers of keras_rnnx and of Keras, `Stack`, and layers that treat each
    step by itself (Dense, Embedding, normalization, activations, merging layers,
    TimeDistributed) can be run so, nested models too. Behind a recurrent layer with
    `return_sequences=False` any layer can stand. Dropout is off.

    Args:
        model: a functional or Sequential model, built.
        batch_size: number of sequences that go on side by side. Default 1.

    Returns:
        A `Stepper`, with `init() -> states` and `step(x, states) -> (y, states)`.

    Raises:
        ValueError: for a model with a layer that needs the future or other steps
            (Bidirectional, `go_backwards`, convolutions, attention, pooling, ...), with
            its name and what to do.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((None, 3)), keras_rnnx.layers.GRU(8), keras.layers.Dense(1)])
    >>> stream = keras_rnnx.models.stepper(model)
    >>> states = stream.init()
    >>> for x in np.ones((5, 1, 3), "float32"):
    ...     y, states = stream.step(x, states)
    >>> y.shape == (1, 1)
    True
    """
    return Stepper(model, batch_size)


def uncompiled_step(model: Any, flat: Any, specs: Any) -> Any:
    """A step that is not compiled, for a backend without a file in `engine/backends/`.

    Args:
        model, flat, specs: as for `stepping` of a backend.
    """
    return lambda tensors: flat(lambda inputs: model(inputs, training=False), tensors)
