"""What models of sequences share: their inputs, and the stack behind these."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_rnnx import initializers
from keras_rnnx._numbers import integer
from keras_rnnx.cells._base import arguments
from keras_rnnx.layers import Embedding, MaskPadding, PoolSteps, Stack

UNITS = 128


def sequences(
    owner: str,
    features: int | None,
    vocabulary: int | None,
    embedding: int | None,
    steps: int | None,
    masked: bool,
    batch_size: int | None = None,
    name: str | None = None,
    prefix: str = "",
) -> tuple[Any, Any]:
    """The inputs of a model, and sequences of vectors for a stack.

    Args:
        owner: the function that makes the model, for messages.
        features: number of features of sequences of numbers, or None.
        vocabulary: number of tokens of sequences of these, or None.
        embedding: size of a vector of a token.
        steps: number of steps, or None.
        masked: whether padded steps are masked.
        batch_size: number of sequences, or None.
        name: of the input. Default "sequences" or "tokens".
        prefix: of the names of layers.

    Raises:
        ValueError: unless there is one of `features` and `vocabulary`.
    """
    if (features is None) == (vocabulary is None):
        raise ValueError(
            f"{owner} reads sequences of numbers, with features=their number, or of "
            f"tokens, with vocabulary=their number. Pass one of the two: received "
            f"features={features!r} and vocabulary={vocabulary!r}."
        )
    masked = arguments.flag("masked", masked)
    steps = None if steps is None else integer("steps", steps, 1)
    if batch_size is not None:
        batch_size = integer("batch_size", batch_size, 1)
    if vocabulary is not None:
        vocabulary = integer("vocabulary", vocabulary, 1)
        # Whoever passes a vocabulary has settled the size.
        assert embedding is not None
        shape: tuple[int | None, ...] = (batch_size, steps)
        inputs = keras.Input(batch_shape=shape, dtype="int32", name=name or "tokens")
        words = Embedding(
            vocabulary, embedding, mask_zero=masked, name=f"{prefix}embedding"
        )
        return inputs, words(inputs)
    shape = (batch_size, steps, integer("features", features, 1))
    inputs = keras.Input(batch_shape=shape, name=name or "sequences")
    if not masked:
        return inputs, inputs
    return inputs, MaskPadding(name=f"{prefix}mask_padding")(inputs)


def embedding_size(embedding: int | None, cell: Any, units: Any) -> int:
    """The size of a vector of a token: by default the units of the first layer."""
    if embedding is not None:
        return integer("embedding", embedding, 1)
    units = widths(cell, units)
    first = units[0] if isinstance(units, (list, tuple)) and units else units
    return getattr(cell, "units", UNITS) if first is None else first


def no_embedding(owner: str, embedding: int | None) -> None:
    """Raises a ValueError for a size of vectors of tokens where there are none."""
    if embedding is not None:
        raise ValueError(
            f"{owner}: `embedding` is the size of a vector of a token, and sequences "
            f"of numbers have none. Received embedding={embedding!r} with `features`: "
            f"leave it out."
        )


def widths(cell: Any, units: Any) -> Any:
    """`units` as a stack takes them: 128 by default, or None for those of a cell."""
    is_cell = isinstance(cell, keras.layers.Layer)
    return UNITS if units is None and not is_cell else units


def stack(
    owner: str, cell: Any, units: Any, depth: int | None, kwargs: dict, **own: Any
) -> Stack:
    """The stack of a model.

    Args:
        owner: the function that makes the model, for messages.
        cell: as for `Stack`.
        units: the same. Default 128.
        depth: the same. Default 1.
        kwargs: further arguments that a user gave.
        **own: arguments that the model sets.

    Raises:
        ValueError: for one in `kwargs` that the model sets.
    """
    check_free(owner, kwargs, tuple(name for name in own if name != "name"))
    units = widths(cell, units)
    if depth is None and not isinstance(units, (list, tuple)):
        depth = 1
    # Models have no states that they keep, if they do not say so.
    own = {"stateful": False, "name": "stack"} | own
    if "stateful" in kwargs:
        check_free(owner, kwargs, ("stateful",))
    return Stack(cell, units, depth, **{**kwargs, **own})


def check_free(owner: str, received: dict[str, Any], taken: tuple[str, ...]) -> None:
    """Raises a ValueError for arguments of a stack that a model sets itself.

    Args:
        owner: the function that makes the model.
        received: the further arguments that a user passes.
        taken: names of those that the model sets.
    """
    for name in taken:
        if name in received:
            raise ValueError(
                f"{owner} sets {name} itself, received {name}={received[name]!r}. "
                f"Leave it out, or make the model of keras_rnnx.layers.Stack."
            )


def outputs(
    owner: str,
    cell: Any,
    units: Any,
    depth: int | None,
    features: int | None,
    vocabulary: int | None,
    embedding: int | None,
    steps: int | None,
    masked: bool,
    kwargs: dict,
    batch_size: int | None = None,
    **own: Any,
) -> tuple[Any, Any]:
    """The inputs of a model, and the outputs of the stack behind them.

    Args:
        owner: the function that makes the model, for messages.
        **own: arguments of the stack that the model sets.
        cell, units, depth, features, vocabulary, embedding, steps, masked, kwargs,
            batch_size: as for `sequences` and `stack`.
    """
    if vocabulary is not None and features is None:
        embedding = embedding_size(embedding, cell, units)
    elif vocabulary is None:
        no_embedding(owner, embedding)
    front = kwargs.get("front")
    kwargs = {name: value for name, value in kwargs.items() if name != "front"}
    layer = stack(owner, cell, units, depth, kwargs, **own)
    inputs, vectors = sequences(
        owner, features, vocabulary, embedding, steps, masked, batch_size
    )
    return inputs, layer(behind(front, vectors))


def behind(front: Any, vectors: Any) -> Any:
    """Vectors of steps behind what stands before a stack.

    Args:
        front: a layer, or a function of Keras tensors; or None: nothing.
        vectors: `(batch, steps, features)`.

    Raises:
        ValueError: for what can't be called, and for outputs of another rank.
    """
    if front is None:
        return vectors
    if not callable(front):
        raise ValueError(
            f"`front` must be a layer, or a function from sequences to sequences, "
            f"received {front!r}."
        )
    found = front(vectors)
    if len(getattr(found, "shape", ())) != 3:
        raise ValueError(
            f"`front` must give sequences `(batch, steps, features)`, and gave "
            f"{getattr(found, 'shape', found)!r}."
        )
    return found


POOLING = ("last", "mean", "max")


def pooled(owner: str, pooling: str, *arguments_: Any) -> tuple[Any, Any]:
    """As `outputs`, one vector for each sequence.

    Args:
        owner: the function that makes the model, for messages.
        pooling: "last", "mean" or "max".
        *arguments_: as for `outputs`.
    """
    arguments.choice("pooling", pooling, POOLING)
    last = pooling == "last"
    inputs, found = outputs(
        owner, *arguments_, return_sequences=not last, return_state=False
    )
    return inputs, found if last else PoolSteps(pooling, name="pool")(found)


def output_bias(base_rates: Any, outputs: int, activation: str) -> Any:
    """The initializer of the bias of an output layer.

    Args:
        base_rates: shares of labels or means of values; or None, for zeros.
        outputs: number of outputs.
        activation: "linear", "sigmoid" or "softmax".

    Raises:
        ValueError: for another number of rates, and those that are out of range.
    """
    if base_rates is None:
        return "zeros"
    if np.shape(base_rates) != (outputs,):
        raise ValueError(
            f"`base_rates` needs one number for each of {outputs} outputs, received "
            f"the shape {np.shape(base_rates)}."
        )
    return initializers.BaseRates(base_rates, activation)
