"""The targets that an encoder-decoder writes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnx._numbers import integer, number
from keras_rnnx.models._decoding.halves import halves


def decode(
    model: keras.Model,
    source: Any,
    beam_width: int = 1,
    max_steps: int | None = None,
    length_penalty: float = 0.0,
    start: int = 1,
    end: int = 2,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Targets of sources, token by token, from `keras_rnnx.models.encoder_decoder`.

    The source is encoded once. The decoder's states are carried, and its step is
    compiled on TensorFlow and JAX, once for each shape of a batch. Width 1 takes the
    most probable token at each step. Otherwise a beam of the most probable beginnings
    is kept; those that have ended stay in it as they are. The search stops when all
    have ended.

    Args:
        model: the model, which may have been saved and loaded.
        source: sources `(batch, steps)` or `(batch, steps, features)`, padded as for
            the model.
        beam_width: number of beginnings that are kept. Default 1. If it is as large as
            the number of beginnings there can be, the search is exhaustive.
        max_steps: greatest number of tokens, with the end. A target that has not ended
            by then counts as it is. Default: 10 more than twice the steps of the
            source.
        length_penalty: the `a` by which targets of `n` tokens, with the end, are ranked
            by their log-probability over `((5 + n) / 6)**a`: above 0 long ones gain
            (Wu et al. 2016, arXiv:1609.08144). Default 0.
        start: the token before the first. Default 1.
        end: the token behind the last. Default 2.

    Returns:
        For each source the tokens of its target, without start and end, int32,
        `(length,)`; and what they were ranked by, float64, `(batch,)`: without a length
        penalty their log-probability. Padding and `start` are never written.

    Raises:
        ValueError: for another model, or an argument out of range.

    Example:

    >>> model = keras_rnnx.models.encoder_decoder(9, 12, units=8)
    >>> targets, scores = keras_rnnx.models.decode(
    ...     model, np.array([[3, 4, 5], [6, 7, 0]]), beam_width=4, max_steps=6)
    >>> len(targets), scores.shape
    (2, (2,))
    """
    width = integer("beam_width", beam_width, 1)
    penalty = number("length_penalty", length_penalty)
    source = np.asarray(source)
    if max_steps is None:
        max_steps = 2 * source.shape[1] + 10
    max_steps = integer("max_steps", max_steps, 1)
    both = halves(model)
    words = both.vocabulary
    for name, token in (("start", start), ("end", end)):
        if integer(name, token, 1) >= words:
            raise ValueError(
                f"`{name}` must be a token, less than the vocabulary of {words}; "
                f"received {token}."
            )
    encoded = [np.repeat(x, width, axis=0) for x in both.encode(source)]
    encoded = [ops.convert_to_tensor(x) for x in encoded]
    step = both.step(encoded)
    memory, states = encoded[: -both.states], encoded[-both.states :]
    batch = len(source)
    rows = np.arange(batch)[:, None]
    tokens: np.ndarray = np.zeros((batch, width, max_steps), "int32")
    total = np.full((batch, width), -np.inf)
    total[:, 0] = 0.0
    ended: np.ndarray = np.zeros((batch, width), bool)
    lengths: np.ndarray = np.zeros((batch, width), int)
    last: np.ndarray = np.full((batch * width, 1), start, "int32")
    for t in range(max_steps):
        scores, *states = step([ops.convert_to_tensor(last), *memory, *states])
        log_p = ops.convert_to_numpy(scores).astype("float64")
        log_p = log_p.reshape(batch, width, words)
        log_p[..., [0, start]] = -np.inf
        # A target that has ended goes on with token 0 alone, which costs nothing.
        log_p[ended] = -np.inf
        log_p[ended, 0] = 0.0
        lengths = lengths + ~ended
        every = total[..., None] + log_p
        ranked = every / ((5 + lengths) / 6)[..., None] ** penalty
        best = _best(ranked.reshape(batch, -1), width)
        beam, token = np.divmod(best, words)
        total = every[rows, beam, token]
        tokens, lengths = tokens[rows, beam], lengths[rows, beam]
        tokens[:, :, t] = token
        ended = ended[rows, beam] | (token == end)
        if np.all(ended | (total == -np.inf)):
            break
        if width > 1:
            at = ops.convert_to_tensor((rows * width + beam).reshape(-1))
            states = [ops.take(state, at, axis=0) for state in states]
        last = np.where(ended, end, token).reshape(-1, 1).astype("int32")
    ranked = total / ((5 + lengths) / 6) ** penalty
    first = ranked.argmax(1)
    chosen = tokens[rows[:, 0], first]
    targets = [row[(row != 0) & (row != end)] for row in chosen]
    return targets, ranked[rows[:, 0], first]


def _best(ranked: np.ndarray, width: int) -> np.ndarray:
    """The places of the `width` greatest values in each row, the greatest first."""
    part = np.argpartition(-ranked, width - 1, axis=1)[:, :width]
    values = np.take_along_axis(ranked, part, axis=1)
    order = np.lexsort((part, -values), axis=1)
    return np.take_along_axis(part, order, axis=1)
