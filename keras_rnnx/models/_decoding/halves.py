"""The two halves of an encoder-decoder: one run once, the other step by step."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_rnnx.engine import backends
from keras_rnnx.models._one_step.layers import Recurrent
from keras_rnnx.models._one_step.stepper import uncompiled_step


class Halves:
    """The encoder of a model, and steps of its decoder, which are compiled once.

    They share the layers of the model, and with them its weights.

    Args:
        model: a model that `keras_rnnx.models.encoder_decoder` made, or one of the same
            layers that was loaded.

    Raises:
        ValueError: for another model.
    """

    def __init__(self, model: keras.Model):
        layers = {layer.name: layer for layer in getattr(model, "layers", [])}
        for name in ("encoder", "decoder", "target_embedding", "scores"):
            if name not in layers:
                raise ValueError(
                    f"decode takes a model of keras_rnnx.models.encoder_decoder: "
                    f"{getattr(model, 'name', model)!r} has no layer {name!r}."
                )
        self._layers = layers
        self.vocabulary = layers["scores"].units
        _, *states = layers["decoder"].input
        self.attends = "attention" in layers
        memory = []
        if self.attends:
            outputs = layers["encoder"].output[0]
            memory = [_Valid()(outputs), outputs, layers["attention_keys"].output]
        self._encoder = keras.Model(model.inputs[0], [*memory, *states])
        self.states = len(states)
        self._steps: dict[tuple, Any] = {}

    def encode(self, source: Any) -> list[Any]:
        """What the decoder reads of sources: what it attends to, and first states."""
        return keras.tree.flatten(self._encoder.predict_on_batch(source))

    def step(self, encoded: list[Any]) -> Any:
        """A step of the decoder, for as many rows as `encoded` has.

        Args:
            encoded: tensors as `encode` returns them, with any number of rows.

        Returns:
            A function from `[tokens, *encoded]`, with tokens `(rows, 1)`, to a list of
            log-probabilities `(rows, vocabulary)` and the next states.
        """
        rows = encoded[0].shape[0]
        specs: list[tuple[tuple[int, ...], str]] = [((rows, 1), "int32")]
        specs += [
            (tuple(x.shape), keras.backend.standardize_dtype(x.dtype)) for x in encoded
        ]
        key = tuple(specs)
        if key not in self._steps:
            backend = backends.current()
            make = uncompiled_step if backend is None else backend.stepping
            self._steps[key] = make(self._one_step(specs), _flat, specs)
        return self._steps[key]

    def _one_step(self, specs: list[tuple[tuple[int, ...], str]]) -> keras.Model:
        inputs = [keras.Input(batch_shape=shape, dtype=dtype) for shape, dtype in specs]
        token, encoded = inputs[0], inputs[1:]
        memory, states = encoded[: -self.states], encoded[-self.states :]
        layers = self._layers
        vectors = layers["target_embedding"](token)
        # Not masked: a decoder skips no step.
        step = Recurrent(layers["decoder"], masked=False)
        (output, *_), new_states = step(vectors, states)
        if self.attends:
            valid, values, keys = memory
            queries = layers.get("attention_queries", lambda x: x)(output)
            context = layers["attention"](
                [queries, values, keys], mask=[None, valid, valid]
            )
            output = layers["combine"](layers["attended"]([context, output]))
        scores = layers["scores"](output)
        return keras.Model(inputs, [_LogSoftmax()(scores), *new_states])


def halves(model: keras.Model) -> Halves:
    """The halves of a model, made once."""
    both = _HALVES.get(model)
    if both is None:
        both = _HALVES[model] = Halves(model)
    return both


# The halves of a model, which are kept as long as the model is.
_HALVES: Any = weakref.WeakKeyDictionary()


def _flat(call: Callable[[list[Any]], Any], tensors: Sequence[Any]) -> list[Any]:
    return keras.tree.flatten(call(list(tensors)))


class _Valid(keras.layers.Layer):
    """Which steps of its inputs are valid, `(batch, time)`."""

    def __init__(self) -> None:
        super().__init__()
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        ones = ops.ones_like(inputs[..., 0], dtype="bool")
        return ones if mask is None else ops.logical_and(ones, mask)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None."""


class _LogSoftmax(keras.layers.Layer):
    def __init__(self) -> None:
        super().__init__(dtype="float32")
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        return ops.log_softmax(inputs[:, 0])

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None."""
