"""A model of the next token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_rnnx._numbers import integer
from keras_rnnx.cells._base import arguments
from keras_rnnx.layers import AdaptiveSoftmax, Embedding
from keras_rnnx.models import _front


def language_model(
    vocabulary: int,
    cell: Any = "lstm",
    units: int | list[int] | None = None,
    depth: int | None = None,
    embedding: int | None = None,
    tied: bool = False,
    softmax: str = "full",
    cutoffs: Sequence[int] | None = None,
    batch_size: int | None = None,
    stateful: bool = False,
    steps: int | None = None,
    masked: bool = True,
    base_rates: Any = None,
    name: str = "language_model",
    **kwargs: Any,
) -> keras.Model:
    """Scores of the next token of a text, at each step.

    Vectors of tokens, a stack of recurrent layers, and scores of all tokens.
    `keras_rnnx.models.generate` writes with it, and `keras_rnnx.models.stepper` runs it
    step by step.

    Args:
        vocabulary: number of tokens.
        cell, units, depth: as for `keras_rnnx.models.classifier`.
        embedding: size of a vector of a token. Default: the units of the first layer.
        tied: whether scores are products with the same vectors: Press & Wolf 2017,
            arXiv:1608.05859. Outputs of another width are projected to theirs first.
            Default False.
        softmax: "full"; or "adaptive", clusters of words that are ordered by frequency
            (`keras_rnnx.layers.AdaptiveSoftmax`; Grave et al. 2017, arXiv:1609.04309).
            Default "full".
        cutoffs: where the clusters begin. Default: as of the layer.
        batch_size: number of sequences, which `stateful=True` needs. Default None: any.
        stateful: whether a batch goes on with the states of the one before, as texts in
            contiguous batches do (`keras_rnnx.datasets.ContiguousBatches`). Default
            False.
        steps: number of steps. Default None: any.
        masked: whether token 0 is padding, which is passed over. Pass False if it is a
            token as others are. Default True.
        base_rates: how often each token occurs, as a share, where the output layer
            starts: its bias has the initializer `keras_rnnx.initializers.BaseRates`.
            Not with `tied` or softmax="adaptive". Default None: the bias starts at
            zero.
        name: of the model. Default "language_model".
        **kwargs: further arguments of the stack and its cells.

    Returns:
        A model, built and not compiled, from integers `(batch, steps)` to logits
        `(batch, steps, vocabulary)`, float32; with "adaptive" log-probabilities, which
        work as logits. Its loss is
        `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`.

    Raises:
        ValueError: for an argument out of range, one of the stack that the model sets
            itself, and ones that do not go together.

    Example:

    >>> model = keras_rnnx.models.language_model(20, units=8, depth=2, tied=True)
    >>> model(np.ones((2, 5), "int32")).shape
    (2, 5, 20)
    """
    owner = "language_model"
    vocabulary = integer("vocabulary", vocabulary, 2)
    tied, stateful = arguments.flag("tied", tied), arguments.flag("stateful", stateful)
    arguments.choice("softmax", softmax, ("full", "adaptive"))
    if tied and softmax == "adaptive":
        raise ValueError(
            "tied=True scores all tokens by their vectors, and softmax='adaptive' by "
            "matrices of its own. Pass one of them."
        )
    if cutoffs is not None and softmax == "full":
        raise ValueError(
            f"`cutoffs` are those of softmax='adaptive', received {cutoffs!r} with "
            f"softmax='full'. Leave them out."
        )
    if base_rates is not None and (tied or softmax == "adaptive"):
        raise ValueError(
            f"`base_rates` need an output layer with a bias for each token, received "
            f"tied={tied} and softmax={softmax!r}. Leave them out."
        )
    if stateful and batch_size is None:
        raise ValueError(
            "stateful=True keeps a state for each sequence of a batch: pass "
            "`batch_size`, the number of sequences in all batches."
        )
    stack = _front.stack(
        owner,
        cell,
        units,
        depth,
        kwargs,
        stateful=stateful,
        return_sequences=True,
        return_state=False,
        go_backwards=False,
        bidirectional=False,
    )
    size = _front.embedding_size(embedding, cell, units)
    shape = [
        None if value is None else integer(name, value, 1)
        for name, value in (("batch_size", batch_size), ("steps", steps))
    ]
    inputs = keras.Input(batch_shape=shape, dtype="int32", name="tokens")
    words = Embedding(
        vocabulary,
        size,
        mask_zero=arguments.flag("masked", masked),
        reverse_bias=tied,
        name="embedding",
    )
    found = stack(words(inputs))
    if softmax == "adaptive":
        head = AdaptiveSoftmax(vocabulary, cutoffs, name="scores")
        return keras.Model(inputs, head(found), name=name)
    if not tied:
        head = keras.layers.Dense(
            vocabulary,
            bias_initializer=_front.output_bias(base_rates, vocabulary, "softmax"),
            dtype="float32",
            name="scores",
        )
        return keras.Model(inputs, head(found), name=name)
    if found.shape[-1] != size:
        found = keras.layers.Dense(size, name="projection")(found)
    scores = words(found, reverse=True)
    full = keras.layers.Activation("linear", dtype="float32", name="scores")
    return keras.Model(inputs, full(scores), name=name)
