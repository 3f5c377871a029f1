"""What one gets without a network: figures that a model has to beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from keras_rnnx._numbers import integer


def marginal_frames(train: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> float:
    """The loss of each note sounding as often as in training, whatever came before.

    Counts begin at one. The first step of a sequence is not judged, since nothing
    could predict it.

    Args:
        train: sequences to count in, `(steps, notes)` of 0 and 1.
        test: sequences to judge on.

    Returns:
        The negative log-likelihood in nats, summed over notes, a step.

    Example:

    >>> rolls = [np.array([[0], [1], [1], [0]])]
    >>> loss = keras_rnnx.datasets.baselines.marginal_frames(rolls, rolls)
    >>> round(loss, 3)
    0.693
    """
    sounds = np.concatenate(train)
    rate = (sounds.sum(0, dtype="float64") + 1) / (len(sounds) + 2)
    following = np.concatenate([roll[1:] for roll in test])
    return _frame_loss(following, np.broadcast_to(rate, following.shape))


def markov_frames(train: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> float:
    """The loss of each note by whether it sounded a step before, and by that alone.

    A Markov chain of first order for each note, with counts that begin at one.

    Args:
        train: sequences to count in, `(steps, notes)` of 0 and 1.
        test: sequences to judge on.

    Returns:
        The negative log-likelihood in nats, summed over notes, a step.

    Example:

    >>> rolls = [np.array([[0], [1]] * 500)]
    >>> round(keras_rnnx.datasets.baselines.markov_frames(rolls, rolls), 3)
    0.002
    """
    before = np.concatenate([roll[:-1] for roll in train]).astype(bool)
    after = np.concatenate([roll[1:] for roll in train]).astype(bool)
    kept = (np.sum(before & after, 0) + 1) / (np.sum(before, 0) + 2)
    begun = (np.sum(~before & after, 0) + 1) / (np.sum(~before, 0) + 2)
    given = np.concatenate([roll[:-1] for roll in test]).astype(bool)
    following = np.concatenate([roll[1:] for roll in test])
    return _frame_loss(following, np.where(given, kept, begun))


def _frame_loss(sounds: np.ndarray, rate: np.ndarray) -> float:
    told = np.where(sounds.astype(bool), rate, 1 - rate)
    return float(-np.log(told).sum(-1).mean())


def unigram_perplexity(train: Sequence[Hashable], test: Sequence[Hashable]) -> float:
    """The perplexity of tokens that are as frequent as in training.

    Args:
        train: tokens to count.
        test: tokens to judge on.

    Returns:
        The perplexity.

    Raises:
        ValueError: for a token in `test` that is not in `train`.

    Example:

    >>> keras_rnnx.datasets.baselines.unigram_perplexity("aabb", "ab")
    2.0
    """
    count = Counter(train)
    _check_known(count, test)
    losses = [np.log(len(train) / count[token]) for token in test]
    return float(np.exp(np.mean(losses)))


def bigram_perplexity(
    train: Sequence[Hashable], test: Sequence[Hashable], weight: float = 0.7
) -> float:
    """The perplexity of tokens by the one before, mixed with how frequent they are.

    Args:
        train: tokens to count.
        test: tokens to judge on, from the second on.
        weight: weight of what the token before tells, in [0, 1]; that of frequency
            alone is `1 - weight`. Default 0.7.

    Returns:
        The perplexity.

    Raises:
        ValueError: for a token in `test` that is not in `train`, and for a weight out
            of range.

    Example:

    >>> keras_rnnx.datasets.baselines.bigram_perplexity("abab" * 99, "abab", 1.0)
    1.001...
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"`weight` must be in [0, 1], received {weight!r}.")
    count = Counter(train)
    _check_known(count, test)
    pairs = Counter(zip(train, train[1:]))
    told = [
        weight * pairs[before, token] / count[before]
        + (1 - weight) * count[token] / len(train)
        for before, token in zip(test, test[1:])
    ]
    return float(np.exp(-np.mean(np.log(told))))


def _check_known(count: Counter, tokens: Sequence[Hashable]) -> None:
    unknown = next((token for token in tokens if token not in count), None)
    if unknown is not None:
        raise ValueError(f"The token {unknown!r} is not in the training part.")


def majority(train: Sequence[Hashable], test: Sequence[Hashable]) -> float:
    """The accuracy of always answering the most frequent class.

    Args:
        train: classes to count; of several as frequent, the least is answered.
        test: classes to judge on.

    Returns:
        The accuracy, in [0, 1].

    Example:

    >>> keras_rnnx.datasets.baselines.majority([0, 1, 1], [1, 1, 1, 0])
    0.75
    """
    count = Counter(np.asarray(train).tolist())
    answer = min(count, key=lambda label: (-count[label], label))
    return float(np.mean(np.asarray(test) == answer))


def mean(train: np.ndarray, test: np.ndarray) -> float:
    """The mean squared error of always answering the mean.

    Args:
        train: values to average, `(n, ...)`.
        test: values to judge on, `(m, ...)`.

    Example:

    >>> keras_rnnx.datasets.baselines.mean(np.array([0.0, 2.0]), np.array([1.0, 4.0]))
    4.5
    """
    return float(np.mean((np.asarray(test) - np.mean(train, axis=0)) ** 2))


def repeated(x: np.ndarray, y: np.ndarray, period: int = 1) -> float:
    """The mean squared error of series that go on as they were.

    Args:
        x: what has been seen, `(n, steps, channels)`.
        y: what follows, `(n, horizon, channels)`.
        period: how many steps repeat: 1 answers the last value, a season's length that
            of a season before. Default 1.

    Raises:
        ValueError: if `period` is not an integer, or more than the steps there are.

    Example:

    >>> x, y = np.array([[[0.0], [1.0]]]), np.array([[[0.0], [1.0], [0.0]]])
    >>> repeated = keras_rnnx.datasets.baselines.repeated
    >>> repeated(x, y, period=2), repeated(x, y)
    (0.0, 0.666...)
    """
    integer("period", period, least=1)
    if period > x.shape[1]:
        raise ValueError(
            f"`period` must be at most the {x.shape[1]} steps of x, received {period}."
        )
    steps: np.ndarray = np.arange(y.shape[1]) % period
    return float(np.mean((y - x[:, x.shape[1] - period + steps]) ** 2))
