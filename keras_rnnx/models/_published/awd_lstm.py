"""The AWD-LSTM of Merity, Keskar & Socher."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnx.cells._base import arguments
from keras_rnnx.layers import Embedding, Stack
from keras_rnnx.models._front import check_free
from keras_rnnx.models._published.initial import arguments_of_cell, uniform


def awd_lstm(
    vocabulary: int = 10000,
    embedding: int = 400,
    units: int = 1150,
    depth: int = 3,
    batch_size: int = 20,
    cell: Any = "lstm",
    embedding_dropout: float = 0.1,
    input_dropout: float = 0.4,
    dropout: float = 0.25,
    output_dropout: float = 0.4,
    weight_dropout: float = 0.5,
    ar: float = 2.0,
    tar: float = 1.0,
    steps: int | None = None,
    stateful: bool = True,
    name: str = "awd_lstm",
    **kwargs: Any,
) -> keras.Model:
    """The LSTM language model in which everything is regularized.

    Word vectors, three layers of LSTM of which the last is as wide as a word vector,
    and scores of the next word from the same vectors (tied). Words are dropped; one
    dropout mask for all steps of a sequence on the word vectors, between the layers and
    on the output; recurrent weights are dropped; large and quickly changing outputs
    cost. Merity, Keskar & Socher 2017, arXiv:1708.02182; the defaults are those of its
    code for Penn Treebank, where its test perplexity is 57.3.

    The paper trains with plain gradient descent at rate 30 on 70 steps, the norm of
    the whole gradient clipped at 0.25 and a weight decay of 1.2e-6. It averages weights
    once the validation loss stops falling (NT-ASGD).

    Args:
        vocabulary: number of words. Default 10000.
        embedding: size of a word vector, and number of units of the last layer. Default
            400.
        units: number of units of the layers below. Default 1150.
        depth: number of layers. Default 3.
        batch_size: number of sequences side by side, fixed since states are kept.
            Default 20.
        cell: the cell, as for `keras_rnnx.layers.Stack`. Default "lstm".
        embedding_dropout: rate at which words are dropped, for all of a batch. Default
            0.1.
        input_dropout: rate at which word vectors are dropped. Default 0.4.
        dropout: rate of dropout between layers. Default 0.25.
        output_dropout: rate of dropout of the last layer's output. Default 0.4.
        weight_dropout: rate at which recurrent weights are dropped; the cell must have
            an argument of that name. Default 0.5.
        ar: weight of the mean square of the output, after its dropout. Default 2.
        tar: weight of the mean square of its change from step to step, before dropout.
            Default 1.
        steps: number of steps of a batch. Default None: any; a number lets backends
            compile for it.
        stateful: whether a batch goes on with the states of the one before. Default
            True.
        name: of the model. Default "awd_lstm".
        **kwargs: further arguments of the stack and its cells.

    Returns:
        A model, built and not compiled, from integers `(batch_size, steps)` to scores
        (logits) `(batch_size, steps, vocabulary)`. The losses of `ar` and `tar` are
        part of the loss, of `evaluate` too: perplexity is the exponential of the
        metric `keras.metrics.SparseCategoricalCrossentropy(from_logits=True)`.

    Raises:
        ValueError: for an argument out of range, or one of the stack that the model
            sets itself, and for outputs of the last layer that are not as wide as a
            word vector.

    Example:

    >>> small = {"embedding": 4, "units": 6, "weight_dropout": 0, "ar": 0, "tar": 0}
    >>> model = keras_rnnx.models.awd_lstm(20, batch_size=2, **small)
    >>> model(np.ones((2, 7), "int32")).shape
    (2, 7, 20)
    """
    check_free(
        "awd_lstm", kwargs, ("dropout_mask", "return_sequences", "activity_regularizer")
    )
    depth = arguments.positive_int("depth", depth)
    units = arguments.positive_int("units", units)
    output_dropout = arguments.rate("output_dropout", output_dropout)
    # Passed on only if it is asked for: not every cell has this argument.
    weight_dropout = arguments.rate("weight_dropout", weight_dropout)
    if weight_dropout:
        kwargs = {"weight_dropout": weight_dropout, **kwargs}
    tokens = keras.Input(batch_shape=(batch_size, steps), dtype="int32", name="tokens")
    words = Embedding(
        vocabulary,
        embedding,
        embedding_dropout=embedding_dropout,
        reverse_bias=True,
        embeddings_initializer=uniform(0.1),
        name="embedding",
    )
    outputs = Stack(
        cell,
        [units] * (depth - 1) + [embedding],
        dropout=dropout,
        input_dropout=input_dropout,
        dropout_mask="sequence",
        return_sequences=True,
        stateful=stateful,
        activity_regularizer=_regularizer("TAR", tar),
        name="stack",
        **{**arguments_of_cell(cell, units**-0.5), **kwargs},
    )(words(tokens))
    if outputs.shape[-1] != embedding:
        raise ValueError(
            f"The scores are products of the word vectors, of size embedding="
            f"{embedding}, with the outputs of the last layer, which are "
            f"{outputs.shape[-1]} wide. Pass arguments with which they are equal."
        )
    outputs = keras.layers.Dropout(
        output_dropout,
        noise_shape=(batch_size, 1, embedding),
        activity_regularizer=_regularizer("AR", ar),
        name="output_dropout",
    )(outputs)
    return keras.Model(tokens, words(outputs, reverse=True), name=name)


def _regularizer(name: str, weight: float) -> keras.regularizers.Regularizer | None:
    if arguments.number(name.lower(), weight) < 0:
        raise ValueError(f"`{name.lower()}` must not be negative, received {weight!r}.")
    if not weight:
        return None
    from keras_rnnx import regularizers

    return getattr(regularizers, name)(weight)
