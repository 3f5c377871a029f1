"""Labels from the scores of connectionist temporal classification."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_rnnx._numbers import integer


def ctc_decode(scores: Any, beam_width: int = 1) -> tuple[list[np.ndarray], np.ndarray]:
    """The labels of sequences, from the scores of `keras_rnnx.models.ctc_labeller`.

    With width 1 it takes the best path, the best class at each step, and drops
    repetitions and then blanks. Otherwise it searches for the labelling whose paths
    together are the most probable, with a beam of prefixes (Graves & Jaitly 2014;
    Hannun et al. 2014, arXiv:1408.2873): for every prefix it keeps the probability of
    the paths that end in a blank and that of the others. If the beam holds all prefixes
    there can be, the search is exhaustive.

    Args:
        scores: logits or log-probabilities `(batch, time, classes + 1)`; class 0 is the
            blank.
        beam_width: number of prefixes that are kept at each step. Default 1: the best
            path.

    Returns:
        For each sequence its labels, int32, `(length,)`, and their log-probability,
        float64, `(batch,)`: that of the one path, or of all paths in the beam.

    Raises:
        ValueError: for scores of another rank, or a width below 1.

    Example:

    >>> p = np.array([[[0.6, 0.4], [0.6, 0.4]]])  # the best path is two blanks
    >>> for width in (1, 4):
    ...     labels, scores = keras_rnnx.models.ctc_decode(np.log(p), width)
    ...     print(labels[0].tolist(), np.exp(scores).round(2))
    [] [0.36]
    [1] [0.64]
    """
    beam_width = integer("beam_width", beam_width, 1)
    scores = keras.ops.convert_to_numpy(scores).astype("float64")
    if scores.ndim != 3:
        raise ValueError(
            f"`scores` are of shape (batch, time, classes + 1), received shape "
            f"{scores.shape}."
        )
    scores = scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)
    if beam_width == 1:
        return _best_path(scores)
    return _prefix_search(scores, beam_width)


def _best_path(scores: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    path = scores.argmax(-1)
    repeated = np.zeros_like(path, dtype=bool)
    repeated[:, 1:] = path[:, 1:] == path[:, :-1]
    said = (path != 0) & ~repeated
    labels = [row[keep].astype("int32") for row, keep in zip(path, said)]
    return labels, scores.max(-1).sum(-1)


def _prefix_search(
    scores: np.ndarray, width: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Searches with arrays `(batch, width, ...)` of prefixes, 0 behind their ends."""
    batch, steps, classes = scores.shape
    prefixes = np.zeros((batch, width, steps), "int32")
    lengths = np.zeros((batch, width), int)
    # Log-probabilities of the paths that end in a blank, and in the last label.
    blank = np.full((batch, width), -np.inf)
    label = blank.copy()
    blank[:, 0] = 0.0
    rows = np.arange(batch)[:, None]
    for t in range(steps):
        now = scores[:, t, :]
        last = np.take_along_axis(
            prefixes, np.maximum(lengths - 1, 0)[..., None], axis=2
        )[..., 0]
        total = np.logaddexp(blank, label)
        # A prefix stays as it is with a blank, or with its last label again.
        stay_blank = total + now[:, None, 0]
        stay_label = label + np.where(lengths > 0, now[rows, last], -np.inf)
        # Or it grows by a label. Its last label makes it longer only behind a blank.
        grown = total[..., None] + now[:, None, :]
        again = blank + now[rows, last]
        np.put_along_axis(grown, last[..., None], again[..., None], axis=2)
        grown[..., 0] = -np.inf
        # The longer prefix may be in the beam already: then the two are added up.
        child, parent = _children(prefixes, lengths, total > -np.inf)
        own = child[0], parent, last[child]
        np.logaddexp.at(stay_label, child, grown[own])
        grown[own] = -np.inf
        stay = np.logaddexp(stay_blank, stay_label)
        every = np.concatenate([stay, grown.reshape(batch, -1)], axis=1)
        best = np.argsort(-every, axis=1, kind="stable")[:, :width]
        grows = best >= width
        source = np.where(grows, (best - width) // classes, best)
        new = (best - width) % classes
        prefixes, lengths = prefixes[rows, source], lengths[rows, source]
        place = np.minimum(lengths, steps - 1)[..., None]
        old = np.take_along_axis(prefixes, place, axis=2)
        written = np.where(grows[..., None], new[..., None], old)
        np.put_along_axis(prefixes, place, written.astype("int32"), axis=2)
        lengths = lengths + grows
        kept = np.take_along_axis(every, best, axis=1)
        blank = np.where(grows, -np.inf, stay_blank[rows, source])
        label = np.where(grows, kept, stay_label[rows, source])
    total = np.logaddexp(blank, label)
    first = total.argmax(1)
    labels = [prefixes[row, k, : lengths[row, k]].copy() for row, k in enumerate(first)]
    return labels, total[np.arange(batch), first]


def _children(
    prefixes: np.ndarray, lengths: np.ndarray, alive: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Where in the beam a prefix is another one with one label more.

    Args:
        alive: which places of the beam hold a prefix.

    Returns:
        `(rows, beams)` of the longer ones, and the beams of the shorter ones.
    """
    longest = max(int(lengths.max()), 1)
    whole = prefixes[..., :longest]
    # Without the last label.
    index = np.arange(longest)
    shorter = np.where(index == lengths[..., None] - 1, 0, whole)
    fits = lengths[:, :, None] == lengths[:, None, :] + 1
    fits &= alive[:, :, None] & alive[:, None, :]
    row, beam, parent = np.nonzero(fits)
    same = (shorter[row, beam] == whole[row, parent]).all(-1)
    return (row[same], beam[same]), parent[same]
