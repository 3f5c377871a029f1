"""The LSTM language models of Zaremba, Sutskever & Vinyals."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

from keras_rnnx._errors import unknown
from keras_rnnx._numbers import integer
from keras_rnnx.layers import Stack
from keras_rnnx.models._front import check_free
from keras_rnnx.models._published.initial import arguments_of_cell, uniform
from keras_rnnx.models._published.training import Training


class _Size(NamedTuple):
    """A model of the paper: sections 4.1, and `main.lua` for the small one."""

    units: int
    dropout: float
    scale: float
    steps: int
    clip: float
    epochs: int
    constant: int
    decay: float


SIZES = {
    "small": _Size(200, 0.0, 0.1, 20, 5.0, 13, 4, 2.0),
    "medium": _Size(650, 0.5, 0.05, 35, 5.0, 39, 6, 1.2),
    "large": _Size(1500, 0.65, 0.04, 35, 10.0, 55, 14, 1.15),
}


def zaremba(
    size: str = "small",
    vocabulary: int = 10000,
    batch_size: int = 20,
    cell: Any = "lstm",
    units: int | None = None,
    depth: int = 2,
    dropout: float | None = None,
    scale: float | None = None,
    steps: int | None = None,
    stateful: bool = True,
    name: str = "zaremba",
    **kwargs: Any,
) -> keras.Model:
    """A word-level language model that stood for years as the one to beat.

    Word vectors, two layers of LSTM, scores of the next word; dropout on the word
    vectors, between the layers and on their output, with a new mask at every step.
    Zaremba, Sutskever & Vinyals 2014, arXiv:1409.2329. On Penn Treebank, trained as
    `zaremba_training` says, its test perplexity is 114.5 ("small", without dropout),
    82.7 ("medium") and 78.4 ("large").

    | size | units | dropout | weights start in |
    |---|---|---|---|
    | "small" | 200 | 0 | ±0.1 |
    | "medium" | 650 | 0.5 | ±0.05 |
    | "large" | 1500 | 0.65 | ±0.04 |

    Args:
        size: "small", "medium" or "large". Default "small".
        vocabulary: number of words. Default 10000.
        batch_size: number of sequences side by side, fixed since states are kept.
            Default 20.
        cell: the cell, as for `keras_rnnx.layers.Stack`. Default "lstm".
        units: number of units, also of the word vectors. Default: of the size.
        depth: number of layers. Default 2.
        dropout: rate of dropout. Default: of the size.
        scale: weights and biases are uniform between -scale and scale at first.
            Default: of the size.
        steps: number of steps of a batch. Default None: any; a number lets backends
            compile for it.
        stateful: whether a batch goes on with the states of the one before. Default
            True.
        name: of the model. Default "zaremba".
        **kwargs: further arguments of the stack and its cells: `weight_dropout`,
            `connection`, `recurrent_dropout`, ...

    Returns:
        A model, built and not compiled, from integers `(batch_size, steps)` to scores
        (logits) `(batch_size, steps, vocabulary)`.

    Raises:
        ValueError: for an unknown size, an argument out of range, or one of the stack
            that the model sets itself.

    Example:

    >>> keras_rnnx.models.zaremba("small").count_params()
    4651600
    """
    chosen = _size(size)
    check_free(
        "zaremba", kwargs, ("input_dropout", "output_dropout", "return_sequences")
    )
    units = chosen.units if units is None else units
    rate = chosen.dropout if dropout is None else dropout
    scale = chosen.scale if scale is None else scale
    tokens = keras.Input(batch_shape=(batch_size, steps), dtype="int32", name="tokens")
    vectors = keras.layers.Embedding(
        vocabulary, units, embeddings_initializer=uniform(scale), name="embedding"
    )(tokens)
    outputs = Stack(
        cell,
        units,
        depth,
        dropout=rate,
        input_dropout=rate,
        output_dropout=rate,
        return_sequences=True,
        stateful=stateful,
        name="stack",
        **{**arguments_of_cell(cell, scale), **kwargs},
    )(vectors)
    scores = keras.layers.Dense(
        vocabulary,
        kernel_initializer=uniform(scale),
        bias_initializer=uniform(scale),
        name="scores",
    )(outputs)
    return keras.Model(tokens, scores, name=name)


def zaremba_training(size: str = "small", batch_size: int = 20) -> Training:
    """How the paper trains `zaremba`.

    Plain gradient descent at rate 1 on the cross-entropy summed over the steps of a
    batch and averaged over its sequences, the norm of the whole gradient clipped; after
    some epochs the rate is divided after each.

    | size | steps | norm | epochs | rate 1 for | then divided by |
    |---|---|---|---|---|---|
    | "small" | 20 | 5 | 13 | 4 | 2 |
    | "medium" | 35 | 5 | 39 | 6 | 1.2 |
    | "large" | 35 | 10 | 55 | 14 | 1.15 |

    The loss that `fit` shows is that sum. The metric `crossentropy` is the mean, whose
    exponential is the perplexity. States are to be zero at the beginning of an epoch:
    see `keras_rnnx.models.reset_states`.

    Args:
        size: "small", "medium" or "large". Default "small".
        batch_size: that of the model. Default 20.

    Returns:
        Arguments of `compile` and `fit`, with an optimizer and a callback that are new.

    Raises:
        ValueError: for an unknown size, or a batch size that is no positive integer.

    Example:

    >>> training = keras_rnnx.models.zaremba_training("medium")
    >>> training.fit["epochs"], training.steps
    (39, 35)
    """
    chosen = _size(size)
    batch_size = integer("batch_size", batch_size, least=1)

    def rate(epoch: int, _: Any = None) -> float:
        return chosen.decay ** -max(epoch + 1 - chosen.constant, 0)

    crossentropy = {"from_logits": True, "name": "crossentropy"}
    return Training(
        compile={
            "optimizer": keras.optimizers.SGD(1.0, global_clipnorm=chosen.clip),
            "loss": keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, reduction="sum"
            ),
            "loss_weights": 1 / batch_size,
            "metrics": [keras.metrics.SparseCategoricalCrossentropy(**crossentropy)],
        },
        fit={
            "epochs": chosen.epochs,
            "shuffle": False,
            "callbacks": [keras.callbacks.LearningRateScheduler(rate)],
        },
        batch_size=batch_size,
        steps=chosen.steps,
    )


def _size(size: str) -> _Size:
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    return SIZES[size]
