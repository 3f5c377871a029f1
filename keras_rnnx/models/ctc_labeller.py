"""A model of labels of a sequence, without saying where they are."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnx._numbers import integer
from keras_rnnx.layers import BlankPadding
from keras_rnnx.models import _front


def ctc_labeller(
    classes: int,
    features: int | None = None,
    vocabulary: int | None = None,
    cell: Any = "lstm",
    units: int | list[int] | None = None,
    depth: int | None = None,
    bidirectional: bool = True,
    embedding: int | None = None,
    steps: int | None = None,
    masked: bool = True,
    name: str = "ctc_labeller",
    **kwargs: Any,
) -> keras.Model:
    """Scores of labels and of the blank at each step, for connectionist temporal
    classification.

    A sequence of steps has a shorter sequence of labels: the digits of a recording,
    say. A path through the steps says a label or the blank at each; repetitions and
    then blanks are dropped; a labelling has the probability of all its paths. Graves et
    al. 2006; with a deep bidirectional LSTM Graves, Mohamed & Hinton 2013,
    arXiv:1303.5778.

    Its loss is `keras.losses.CTC()`, with labels `(batch, length)` from 1 to `classes`,
    padded with 0. The loss and its gradients do not depend on padding. A sequence needs
    a step for each label, and one more between two that are equal.
    `keras_rnnx.models.ctc_decode` gives labels, and
    `keras_rnnx.metrics.TokenErrorRate(decode="ctc")` counts errors.

    Args:
        classes: number of labels, without the blank.
        bidirectional: whether each layer reads sequences both ways. Default True.
        features, vocabulary, cell, units, depth, embedding, steps, masked: as for
            `keras_rnnx.models.classifier`.
        name: of the model. Default "ctc_labeller".
        **kwargs: further arguments of the stack and its cells.

    Returns:
        A model, built and not compiled, from `(batch, steps, features)` or integers
        `(batch, steps)` to logits `(batch, steps, classes + 1)`, float32, of which
        class 0 is the blank. Padded steps say blank for certain, and there is no Keras
        mask.

    Raises:
        ValueError: for an argument out of range, one of the stack that the model sets
            itself, and unless there is one of `features` and `vocabulary`.

    Example:

    >>> model = keras_rnnx.models.ctc_labeller(10, features=20, units=8)
    >>> model.compile("adam", keras.losses.CTC())
    >>> x, y = np.ones((2, 9, 20), "float32"), np.array([[3, 1, 4], [2, 0, 0]])
    >>> history = model.fit(x, y, verbose=0)
    >>> labels, scores = keras_rnnx.models.ctc_decode(model.predict(x, verbose=0))
    >>> len(labels)
    2
    """
    classes = integer("classes", classes, 1)
    inputs, found = _front.outputs(
        "ctc_labeller",
        cell,
        units,
        depth,
        features,
        vocabulary,
        embedding,
        steps,
        masked,
        {"bidirectional": bidirectional, **kwargs},
        return_sequences=True,
        return_state=False,
        go_backwards=False,
    )
    scores = keras.layers.Dense(classes + 1, dtype="float32", name="scores")(found)
    blank = BlankPadding(dtype="float32", name="blank_padding")
    return keras.Model(inputs, blank(scores), name=name)
