"""A long text, to learn its next character or word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_rnnx import metrics
from keras_rnnx._errors import unknown
from keras_rnnx.datasets._making.splitting import Split, sizes
from keras_rnnx.datasets._making.vocabulary import LEVELS, UNKNOWN, Vocabulary


def fields(
    text: Any, level: str, validation: Any, test: Any, vocabulary_size: int | None
) -> dict[str, Any]:
    """The attributes of a task of a language model; see `Task.from_text`."""
    if level not in LEVELS:
        raise unknown("level", level, LEVELS)
    text = _tokens("text", text, level)
    parts, shares = {}, {}
    for name, part in (("validation", validation), ("test", test)):
        if isinstance(part, (str, list, tuple)):
            parts[name] = _tokens(name, part, level)
        else:
            shares[name] = part
    counts = sizes(len(text), shares)
    borders = np.cumsum(counts)
    for name, begin, end in zip(shares, borders, borders[1:]):
        parts[name] = text[begin:end]
    parts["train"] = text[: counts[0]]
    # Nothing is padded, so there is no token for padding.
    vocabulary = Vocabulary.of(
        [parts["train"]], vocabulary_size, level=level, specials=()
    )
    known = all(t in vocabulary for part in parts.values() for t in set(part))
    if not known and UNKNOWN not in vocabulary:
        vocabulary = Vocabulary.of(
            [parts["train"]], vocabulary_size, level=level, specials=(UNKNOWN,)
        )
    splits = {name: Split(vocabulary.encode(part)) for name, part in parts.items()}
    attributes = {"vocabulary": vocabulary, **splits}
    if level == "character":
        judged = (metrics.BitsPerCharacter, metrics.Perplexity)
        attributes["metrics"] = tuple(metric(from_logits=True) for metric in judged)
    return attributes


def _tokens(name: str, text: str | Sequence[str], level: str) -> Sequence[str]:
    if isinstance(text, str):
        text = list(text) if level == "character" else text.split()
    if not text or not all(isinstance(token, str) for token in text):
        raise ValueError(
            f"`{name}` must be a text, or a sequence of tokens that are texts."
        )
    return text
