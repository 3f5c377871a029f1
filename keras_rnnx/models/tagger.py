"""A model of a class for each step."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnx._numbers import integer
from keras_rnnx.cells._base import arguments
from keras_rnnx.layers import CRF
from keras_rnnx.models import _front


def tagger(
    classes: int,
    features: int | None = None,
    vocabulary: int | None = None,
    cell: Any = "lstm",
    units: int | list[int] | None = None,
    depth: int | None = None,
    head: str = "softmax",
    embedding: int | None = None,
    steps: int | None = None,
    masked: bool = True,
    base_rates: Any = None,
    name: str = "tagger",
    **kwargs: Any,
) -> keras.Model:
    """A class for each step of a sequence.

    A stack of recurrent layers with a softmax at each step, or with a conditional
    random field over all of them, which learns which class follows which. With
    `bidirectional=True` it is the tagger of Huang, Xu & Yu 2015, arXiv:1508.01991, and
    of Lample et al. 2016, arXiv:1603.01360.

    Args:
        classes: number of classes.
        head: "softmax", for the loss "sparse_categorical_crossentropy"; or "crf", for
            the loss `keras_rnnx.losses.CRF()`, the metric
            `keras_rnnx.metrics.CRFAccuracy()` and `keras_rnnx.models.viterbi`, which
            gives the classes. Default "softmax".
        features, vocabulary, cell, units, depth, embedding, steps, masked: as for
            `keras_rnnx.models.classifier`.
        base_rates: the share of steps of each class, where the
            output layer starts: its bias has the initializer
            `keras_rnnx.initializers.BaseRates`. Default None: the bias starts at zero.
        name: of the model. Default "tagger".
        **kwargs: further arguments of the stack and its cells: `bidirectional`,
            `dropout`, `connection`, ...

    Returns:
        A model, built and not compiled, from `(batch, steps, features)` or integers
        `(batch, steps)` to probabilities `(batch, steps, classes)`, float32; with a
        CRF to the scores that `keras_rnnx.layers.CRF` returns,
        `(batch, steps, classes, classes)`.

    Raises:
        ValueError: for an argument out of range, one of the stack that the model sets
            itself, and unless there is one of `features` and `vocabulary`.

    Example:

    >>> model = keras_rnnx.models.tagger(
    ...     5, vocabulary=20, units=8, bidirectional=True, head="crf")
    >>> model.compile(
    ...     "adam", keras_rnnx.losses.CRF(), metrics=[keras_rnnx.metrics.CRFAccuracy()])
    >>> x, y = np.array([[3, 7, 9, 0]]), np.array([[1, 4, 0, 0]])
    >>> history = model.fit(x, y, verbose=0)
    >>> keras_rnnx.models.viterbi(model.predict(x, verbose=0)).shape
    (1, 4)
    """
    classes = integer("classes", classes, 2)
    arguments.choice("head", head, ("softmax", "crf"))
    inputs, found = _front.outputs(
        "tagger",
        cell,
        units,
        depth,
        features,
        vocabulary,
        embedding,
        steps,
        masked,
        kwargs,
        return_sequences=True,
        return_state=False,
        go_backwards=False,
    )
    bias = _front.output_bias(base_rates, classes, "softmax")
    if head == "softmax":
        dense = keras.layers.Dense(
            classes,
            activation="softmax",
            bias_initializer=bias,
            dtype="float32",
            name="probabilities",
        )
        return keras.Model(inputs, dense(found), name=name)
    dense = keras.layers.Dense(
        classes, bias_initializer=bias, dtype="float32", name="scores"
    )
    scores = dense(found)
    return keras.Model(inputs, CRF(name="crf")(scores), name=name)
