"""A model of which labels the next step has: of polyphonic music, say."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnx._numbers import integer
from keras_rnnx.models import _front


def next_step(
    labels: int,
    features: int | None = None,
    vocabulary: int | None = None,
    cell: Any = "lstm",
    units: int | list[int] | None = None,
    depth: int | None = None,
    embedding: int | None = None,
    steps: int | None = None,
    masked: bool = True,
    base_rates: Any = None,
    name: str = "next_step",
    **kwargs: Any,
) -> keras.Model:
    """The probability of each of several labels at the next step, which may all be on.

    A stack of recurrent layers with a logistic unit for each label at each step:
    frames of polyphonic music as in Boulanger-Lewandowski, Bengio & Vincent 2012,
    arXiv:1206.6392, without dependence between the labels of one step.

    Args:
        labels: number of labels.
        features: number of features of a step. Default: `labels`, without `vocabulary`.
        vocabulary, cell, units, depth, embedding, steps, masked: as for
            `keras_rnnx.models.classifier`.
        base_rates: the share of steps at which each label is on, where the
            output layer starts: its bias has the initializer
            `keras_rnnx.initializers.BaseRates`. Default None: the bias starts at zero.
        name: of the model. Default "next_step".
        **kwargs: further arguments of the stack and its cells.

    Returns:
        A model, built and not compiled, from `(batch, steps, features)` or integers
        `(batch, steps)` to probabilities `(batch, steps, labels)`, float32. Its loss is
        "binary_crossentropy"; `keras_rnnx.metrics.FrameNLL` is what papers report.

    Raises:
        ValueError: for an argument out of range, one of the stack that the model sets
            itself, and `bidirectional=True`, which would show it the next step.

    Example:

    >>> model = keras_rnnx.models.next_step(88, units=8)
    >>> frames = np.zeros((2, 6, 88), "float32")
    >>> model(frames[:, :-1]).shape
    (2, 5, 88)
    """
    labels = integer("labels", labels, 1)
    if features is None and vocabulary is None:
        features = labels
    inputs, found = _front.outputs(
        "next_step",
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
        bidirectional=False,
    )
    head = keras.layers.Dense(
        labels,
        activation="sigmoid",
        bias_initializer=_front.output_bias(base_rates, labels, "sigmoid"),
        dtype="float32",
        name="probabilities",
    )
    return keras.Model(inputs, head(found), name=name)
