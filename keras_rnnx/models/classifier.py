"""Models of one answer for each sequence: a class, or numbers."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnx._numbers import integer
from keras_rnnx.models import _front


def classifier(
    classes: int,
    features: int | None = None,
    vocabulary: int | None = None,
    cell: Any = "lstm",
    units: int | list[int] | None = None,
    depth: int | None = None,
    pooling: str = "last",
    embedding: int | None = None,
    steps: int | None = None,
    masked: bool = True,
    base_rates: Any = None,
    name: str = "classifier",
    **kwargs: Any,
) -> keras.Model:
    """A class for each sequence.

    A stack of recurrent layers, and a softmax of its last output, or of the mean or
    the maximum of its outputs over all steps. Padded steps are masked: a sequence has
    the same answer alone and in a padded batch.

    Args:
        classes: number of classes.
        features: number of features of sequences of numbers, which are padded with NaN
            as by `keras_rnnx.datasets.PaddedBatches`.
        vocabulary: number of tokens of sequences of these, which are padded with 0. One
            of `features` and `vocabulary` is to be given.
        cell: the cell, as for `keras_rnnx.layers.Stack`. Default "lstm".
        units: number of units of each layer, or a list with one number for each.
            Default 128, or those of `cell` if that is a cell.
        depth: number of layers. Default 1, or the length of `units`.
        pooling: what the softmax reads: "last", the last output (with
            `bidirectional=True` that of each direction); "mean" or "max", that over all
            valid steps. Default "last".
        embedding: size of a vector of a token. Default: the units of the first layer.
        steps: number of steps. Default None: any; a number lets backends compile for
            it.
        masked: whether padded steps are masked. Without padding False saves time, and
            token 0 is a token as others are. Default True.
        base_rates: the share of sequences of each class, where the
            output layer starts: its bias has the initializer
            `keras_rnnx.initializers.BaseRates`. Default None: the bias starts at zero.
        name: of the model. Default "classifier".
        **kwargs: further arguments of the stack and its cells: `bidirectional`,
            `dropout`, `connection`, `layer_norm`, ... And `front`: what stands before
            the stack, such as a convolution: a layer, or a function of Keras tensors,
            from `(batch, steps, features)` to the same with other features.

    Returns:
        A model, built and not compiled, from `(batch, steps, features)` or integers
        `(batch, steps)` to probabilities `(batch, classes)`, float32. Its loss is
        "sparse_categorical_crossentropy".

    Raises:
        ValueError: for an argument out of range, one of the stack that the model sets
            itself, and unless there is one of `features` and `vocabulary`.

    Example:

    >>> model = keras_rnnx.models.classifier(9, features=12, cell="gru", units=8)
    >>> model(np.ones((2, 5, 12), "float32")).shape
    (2, 9)
    """
    classes = integer("classes", classes, 2)
    inputs, found = _front.pooled(
        "classifier",
        pooling,
        cell,
        units,
        depth,
        features,
        vocabulary,
        embedding,
        steps,
        masked,
        kwargs,
    )
    head = keras.layers.Dense(
        classes,
        activation="softmax",
        bias_initializer=_front.output_bias(base_rates, classes, "softmax"),
        dtype="float32",
        name="probabilities",
    )
    return keras.Model(inputs, head(found), name=name)


def regressor(
    outputs: int = 1,
    features: int | None = None,
    vocabulary: int | None = None,
    cell: Any = "lstm",
    units: int | list[int] | None = None,
    depth: int | None = None,
    pooling: str = "last",
    embedding: int | None = None,
    steps: int | None = None,
    masked: bool = True,
    base_rates: Any = None,
    name: str = "regressor",
    **kwargs: Any,
) -> keras.Model:
    """Numbers for each sequence.

    Args:
        outputs: how many. Default 1.
        features, vocabulary, cell, units, depth, pooling, embedding, steps, masked: as
            for `classifier`.
        base_rates: the mean of each output, where the output layer starts: its bias has
            the initializer `keras_rnnx.initializers.BaseRates`. Default None: the bias
            starts at zero.
        name: of the model. Default "regressor".
        **kwargs: further arguments of the stack and its cells.

    Returns:
        A model, built and not compiled, from `(batch, steps, features)` or integers
        `(batch, steps)` to `(batch, outputs)`, float32.

    Raises:
        ValueError: as `classifier`.

    Example:

    >>> model = keras_rnnx.models.regressor(features=2, cell="lem", units=8)
    >>> model(np.ones((2, 5, 2), "float32")).shape
    (2, 1)
    """
    outputs = integer("outputs", outputs, 1)
    inputs, found = _front.pooled(
        "regressor",
        pooling,
        cell,
        units,
        depth,
        features,
        vocabulary,
        embedding,
        steps,
        masked,
        kwargs,
    )
    head = keras.layers.Dense(
        outputs,
        bias_initializer=_front.output_bias(base_rates, outputs, "linear"),
        dtype="float32",
        name="values",
    )
    return keras.Model(inputs, head(found), name=name)
