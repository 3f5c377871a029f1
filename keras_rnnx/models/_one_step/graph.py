"""The graph of a model of sequences, rebuilt for one step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras

from keras_rnnx.models._one_step.layers import RECURRENT, Recurrent, Stepwise, refusal

ADVICE = "A stepper runs models whose layers treat a sequence step by step."


class StepGraph:
    """A functional model that takes one step and states, and returns the next ones.

    Args:
        model: a functional or Sequential model.
        batch_size: number of sequences.
        timed: for each input whether its axis 1 is that of time. Default: those that a
            recurrent layer reads, through any layers.

    Attributes:
        model: from `[inputs, states]`, with a time axis of length 1, to `[outputs,
            states]`.
        timed, timed_outputs: for each input and output whether it has that axis.
    """

    def __init__(
        self, model: keras.Model, batch_size: int, timed: list[bool] | None = None
    ):
        model = as_functional(model)
        self.source, self.batch_size = model, batch_size
        # For each recurrent layer and each inner model a function that returns its
        # states before the first step.
        self.first_states: list[Callable[[], list[Any]]] = []
        calls, inputs, outputs = _calls(model)
        self.masked = iter([call.masked for call in calls if call.keeps])
        self.timed = _timed(calls, inputs, outputs) if timed is None else timed
        shapes = [tuple(x.shape) for x in inputs]
        shapes = [
            (batch_size, 1, *s[2:]) if t else (batch_size, *s[1:])
            for s, t in zip(shapes, self.timed)
        ]
        steps = [
            keras.Input(batch_shape=shape, dtype=x.dtype, name=x.name)
            for shape, x in zip(shapes, model.inputs)
        ]
        # By id the tensors with a time axis; kept, so that no other gets their id.
        self._sequences = {id(x): x for x, t in zip(steps, self.timed) if t}
        self._states: list[Any] = []
        self._new_states: list[Any] = []
        packed = keras.tree.pack_sequence_as(model.input, steps)
        copy = _replayed(model, packed, self._call)
        outputs = copy.output
        flat = keras.tree.flatten(outputs)
        self.timed_outputs = [id(x) in self._sequences for x in flat]
        self.model = keras.Model([packed, self._states], [outputs, self._new_states])

    def initial_states(self) -> list[Any]:
        """The states before the first step."""
        return [state for first in self.first_states for state in first()]

    def _call(self, layer: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        mask = kwargs.pop("mask", None)
        tensors = _tensors(args, kwargs)
        sequences = [x for x in tensors if id(x) in self._sequences]
        if not isinstance(layer, keras.layers.Layer):
            derived = sequences or any(isinstance(x, _Refused) for x in tensors)
            return _Refused(layer) if derived else layer(*args, **kwargs)
        for x in tensors:
            _raise_where_refused(x)
        if not sequences:
            return Stepwise(layer)(*args, **kwargs)
        if _is_model(layer):
            return self._nested(layer, *args, **kwargs)
        refused = refusal(layer)
        if refused is None and isinstance(layer, RECURRENT):
            masked = next(self.masked)
            if len(tensors) > 1:
                refused = "its first states are given in the call, as an input"
            elif mask is not None and not masked:
                refused = "its mask is given in the call, and not by a layer"
        if refused is not None:
            raise _error(layer, refused)
        if not isinstance(layer, RECURRENT):
            return self._marked(Stepwise(layer)(*args, **kwargs))
        part = Recurrent(layer, masked)
        first = functools.partial(part.initial_states, self.batch_size)
        self.first_states.append(first)
        states = _Placeholders(first())(args[0])
        outputs, new_states = part(args[0], states)
        self._states += states
        self._new_states += new_states
        if layer.return_sequences:
            self._marked(keras.tree.flatten(outputs)[0])
        return outputs

    def _nested(self, layer: keras.Model, *args: Any, **kwargs: Any) -> Any:
        inputs = args[0] if args else kwargs["inputs"]
        flat = keras.tree.flatten(inputs)
        timed = [id(x) in self._sequences for x in flat]
        graph = StepGraph(layer, self.batch_size, timed)
        self.first_states.append(graph.initial_states)
        states = _Placeholders(graph.initial_states())(inputs)
        outputs, new_states = graph.model([inputs, states])
        self._states += states
        self._new_states += new_states
        for x, t in zip(keras.tree.flatten(outputs), graph.timed_outputs):
            if t:
                self._marked(x)
        return outputs

    def _marked(self, outputs: Any) -> Any:
        for x in keras.tree.flatten(outputs):
            self._sequences[id(x)] = x
        return outputs


class _Placeholders(keras.layers.Layer):
    """Stands for states while a graph is copied: they must depend on its inputs."""

    def __init__(self, states: list[Any]):
        super().__init__()
        self.supports_masking = True
        self.sizes = [(tuple(s.shape), s.dtype) for s in states]

    def call(self, inputs: Any) -> list[Any]:
        return [keras.ops.zeros(*size) for size in self.sizes]

    def compute_output_spec(self, inputs: Any) -> list[keras.KerasTensor]:
        sizes = [(s, keras.backend.standardize_dtype(d)) for s, d in self.sizes]
        return [keras.KerasTensor(shape, dtype) for shape, dtype in sizes]

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None."""


class _Refused:
    """Stands for the result of an operation outside of a layer on a sequence.

    Such operations make masks, which nothing reads: layers make their masks again. A
    layer that reads another such result raises an error.
    """

    def __init__(self, operation: Any):
        self.operation = operation


def _tensors(*arguments: Any) -> list[Any]:
    flat = keras.tree.flatten(arguments)
    return [x for x in flat if isinstance(x, (keras.KerasTensor, _Refused))]


def _raise_where_refused(x: Any) -> None:
    if isinstance(x, _Refused):
        raise _error(x.operation, refusal(x.operation))


def _error(layer: keras.Operation, reason: str | None) -> ValueError:
    return ValueError(
        f"Layer {layer.name!r} ({type(layer).__name__}) cannot run step by step: "
        f"{reason}. {ADVICE}"
    )


def _is_model(layer: keras.Operation) -> bool:
    return isinstance(layer, keras.Model)


def as_functional(model: Any) -> keras.Model:
    """A functional or Sequential model as a functional one.

    Raises:
        ValueError: for a model that does not know its inputs.
    """
    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if not getattr(model, "inputs", None):
        raise ValueError(
            f"A stepper needs a functional or Sequential model that knows its inputs: "
            f"make it with keras.Input. Received {type(model).__name__} {model.name!r}."
        )
    return model


def _replayed(model: keras.Model, inputs: Any, call: Callable[..., Any]) -> keras.Model:
    """A copy of the graph of a model in which every layer is called by `call`."""
    return keras.models.clone_model(
        model,
        input_tensors=inputs,
        clone_function=lambda layer: layer,
        call_function=call,
    )


class _Call:
    """A call in the graph of a model, of whole sequences."""

    def __init__(self, layer: keras.Operation, read: list[Any]):
        self.layer = layer
        self.read = read
        self.made: list[Any] = []
        self.masked = False

    @property
    def keeps(self) -> bool:
        """Whether the layer is recurrent."""
        return isinstance(self.layer, RECURRENT)


class _Probe(Stepwise):
    """Notes whether a layer is called with a mask."""

    masked = False

    def compute_output_spec(
        self, inputs: Any, *args: Any, mask: Any = None, **kwargs: Any
    ) -> Any:
        self.masked = any(m is not None for m in keras.tree.flatten(mask))
        return super().compute_output_spec(inputs, *args, **kwargs)


def _calls(
    model: keras.Model,
) -> tuple[list[_Call], list[keras.KerasTensor], list[keras.KerasTensor]]:
    """The calls in the graph of a model, and its inputs."""
    calls = []

    def note(layer: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("mask", None)
        read = _tensors(args, kwargs)
        call = _Call(layer, read)
        calls.append(call)
        if not isinstance(layer, keras.layers.Layer):
            made = layer(*args, **kwargs)
            call.made = keras.tree.flatten(made)
            return made
        probe = _Probe(layer)
        made = probe(*args, **kwargs)
        call.made, call.masked = keras.tree.flatten(made), probe.masked
        return made

    inputs = [
        keras.Input(batch_shape=tuple(x.shape), dtype=x.dtype, name=x.name)
        for x in model.inputs
    ]
    packed = keras.tree.pack_sequence_as(model.input, inputs)
    copy = _replayed(model, packed, note)
    return calls, inputs, copy.outputs


def _timed(calls: list[_Call], inputs: Any, outputs: Any) -> list[bool]:
    """For each input whether a recurrent layer reads it, or whether a layer combines it
    with such an input."""
    timed: set[int] = set()
    for call in calls:
        both = isinstance(call.layer, keras.layers.Bidirectional)
        inner = _is_model(call.layer) and _recurrent_inside(call.layer)
        if call.keeps or both or inner:
            timed |= {id(x) for x in call.read}
    if not timed:
        raise ValueError(f"The model has no recurrent layers. {ADVICE}")
    # Backward to the inputs, and forward through the layers that combine them.
    while True:
        size = len(timed)
        for call in reversed(calls):
            layers = isinstance(call.layer, keras.layers.Layer)
            if layers and any(id(x) in timed for x in call.made):
                timed |= {id(x) for x in call.read}
        for call in calls:
            if not any(id(x) in timed for x in call.read):
                continue
            if call.keeps:
                if call.layer.return_sequences:
                    timed.add(id(call.made[0]))
            elif refusal(call.layer) is None:
                timed |= {id(x) for x in call.made}
        if len(timed) == size:
            break
    shown = {id(x) for x in outputs}
    for call in calls:
        layer = isinstance(call.layer, keras.layers.Layer)
        read, made = ({id(x) for x in xs} for xs in (call.read, call.made))
        if not layer and shown & made and read & timed:
            raise _error(call.layer, refusal(call.layer))
    return [id(x) in timed for x in inputs]


def _recurrent_inside(model: keras.Model) -> bool:
    return any(
        isinstance(layer, RECURRENT) or (_is_model(layer) and _recurrent_inside(layer))
        for layer in model.layers
    )
