"""A model from one sequence to another."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnx._numbers import integer
from keras_rnnx.cells._base import arguments
from keras_rnnx.cells._base.masks import stream_seed
from keras_rnnx.layers import Embedding, Stack
from keras_rnnx.models import _front
from keras_rnnx.models._one_step.layers import refusal

ATTENTION: tuple[Any, ...] = (None, "additive", "multiplicative")
# A stream that the encoder's dropout does not come to.
DECODER = 2**21


def encoder_decoder(
    source_vocabulary: int | None = None,
    target_vocabulary: int | None = None,
    source_features: int | None = None,
    attention: str | None = None,
    cell: Any = "lstm",
    units: int | list[int] | None = None,
    depth: int | None = None,
    bidirectional: bool = False,
    go_backwards: bool = False,
    embedding: int | None = None,
    steps: int | None = None,
    masked: bool = True,
    name: str = "encoder_decoder",
    **kwargs: Any,
) -> keras.Model:
    """A sequence of tokens for a sequence, of any other length.

    A stack, the encoder, reads the source. Its last states are the first ones of
    another, the decoder, which says token after token, reading the one before: Cho et
    al. 2014, arXiv:1406.1078; Sutskever, Vinyals & Le 2014, arXiv:1409.3215. With
    attention each output of the decoder also weighs the encoder's outputs at all valid
    steps, and `tanh(W [context, output])` is what is scored: the additive score of
    Bahdanau, Cho & Bengio 2015, arXiv:1409.0473, or the multiplicative one ("general")
    of Luong, Pham & Manning 2015, arXiv:1508.04025, behind the decoder as in the
    latter.

    Tokens of the target are 0 for padding, 1 for the start and 2 for the end, and
    others from 3. In training the decoder reads the true target behind a start: for a
    target 7, 8 the inputs are `[source, [1, 7, 8]]` and the labels `[7, 8, 2]`.
    `keras_rnnx.models.decode` gives targets.

    Args:
        source_vocabulary: number of tokens of the source, 0 for padding. One of it and
            `source_features` is to be given.
        target_vocabulary: number of tokens of the target, with 0, 1 and 2.
        source_features: number of features of a source of numbers.
        attention: None, "additive" or "multiplicative". Default None.
        cell, units, depth: of both stacks, as for `keras_rnnx.models.classifier`.
        bidirectional: whether the encoder reads both ways. A layer of the decoder then
            starts from a linear map of its last states in both. Default False.
        go_backwards: whether the encoder reads the source from its end, as in Sutskever
            et al. Default False.
        embedding: size of a vector of a token. Default: the units of the first layer.
        steps: number of steps of the source. Default None: any.
        masked: whether padded steps of the source are masked. Default True.
        name: of the model. Default "encoder_decoder".
        **kwargs: further arguments of both stacks and their cells.

    Returns:
        A model, built and not compiled, from `[source, decoder_inputs]`, of shapes
        `(batch, steps)` or `(batch, steps, features)` and `(batch, length)`, to logits
        `(batch, length, target_vocabulary)`, float32, masked where `decoder_inputs` is
        0. Its loss is `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`.

    Raises:
        ValueError: for an argument out of range, one of the stacks that the model sets
            itself, one with which a decoder cannot run step by step (`batch_norm`,
            `monte_carlo`), and unless there is one kind of source.

    Example:

    >>> model = keras_rnnx.models.encoder_decoder(
    ...     9, 12, attention="additive", cell="gru", units=8, bidirectional=True)
    >>> source, inputs = np.array([[3, 4, 5, 0]]), np.array([[1, 7, 8]])
    >>> model([source, inputs]).shape
    (1, 3, 12)
    """
    owner = "encoder_decoder"
    words = integer("target_vocabulary", target_vocabulary, 4)
    arguments.choice("attention", attention, ATTENTION)
    front = kwargs.get("front")
    kwargs = {key: value for key, value in kwargs.items() if key != "front"}
    size = _front.embedding_size(embedding, cell, units)
    seed = kwargs.get("seed")
    own = {"return_sequences": True, "return_state": True}
    encoder = _front.stack(
        owner,
        cell,
        units,
        depth,
        {**kwargs, "bidirectional": bidirectional, "go_backwards": go_backwards},
        name="encoder",
        **own,
    )
    # Its first states are given.
    apart = {"initial_state_trainable": False, "initial_state_noise": 0.0}
    apart |= {} if seed is None else {"seed": stream_seed(seed, DECODER)}
    decoder = _front.stack(
        owner, cell, units, depth, kwargs | apart, name="decoder", **own
    )
    refused = refusal(decoder)
    if refused:
        raise ValueError(f"A decoder runs step by step, and it cannot: {refused}.")
    source, sequences = _front.sequences(
        owner,
        source_features,
        source_vocabulary,
        size,
        steps,
        masked,
        name="source",
        prefix="source_",
    )
    inputs = keras.Input((None,), dtype="int32", name="decoder_inputs")
    vectors = Embedding(words, size, mask_zero=True, name="target_embedding")(inputs)
    memory, *states = encoder(_front.behind(front, sequences))
    states = _first_states(states, encoder, decoder, size)
    found, *_ = decoder(vectors, initial_state=states)
    if attention is not None:
        found = _attended(attention, found, memory)
    scores = keras.layers.Dense(words, dtype="float32", name="scores")(found)
    return keras.Model([source, inputs], scores, name=name)


def _attended(attention: str, found: Any, memory: Any) -> Any:
    """The decoder's outputs with what they attend to."""
    width = found.shape[-1]
    keys = keras.layers.Dense(width, use_bias=False, name="attention_keys")(memory)
    queries = found
    if attention == "additive":
        queries = keras.layers.Dense(width, name="attention_queries")(found)
        layer = keras.layers.AdditiveAttention(name="attention")
    else:
        layer = keras.layers.Attention(name="attention")
    context = layer([queries, memory, keys])
    both = keras.layers.Concatenate(name="attended")([context, found])
    return keras.layers.Dense(width, "tanh", use_bias=False, name="combine")(both)


def _first_states(
    states: list[Any], encoder: Stack, decoder: Stack, features: int
) -> list[Any]:
    """The first states of the decoder, from the last ones of the encoder.

    They are the same where they fit. Else each is a linear map of that, or those of
    both directions, of the same layer.
    """
    shapes = decoder.compute_output_shape((None, None, features))[1:]
    cell = decoder.layers[0].cell
    cell = getattr(cell, "cells", [cell])[0]
    kinds = [getattr(cell, "state_kinds", {}).get(name) for name in cell.state_names]
    count, found = len(shapes) // decoder.depth, []
    directions = 2 if encoder.bidirectional else 1
    for k, (_, width) in enumerate(shapes):
        layer, place = divmod(k, count)
        first = layer * directions * count + place
        given = [states[first + d * count] for d in range(directions)]
        kind = kinds[place] if place < len(kinds) else None
        if given[0].shape[-1] == width and (directions == 1 or kind == "count"):
            found.append(given[0])
            continue
        both = given[0]
        if directions == 2:
            both = keras.layers.Concatenate(name=f"last_states_{k}")(given)
        activation = "softplus" if kind == "positive" else None
        first = keras.layers.Dense(width, activation, name=f"first_state_{k}")
        found.append(first(both))
    return found
