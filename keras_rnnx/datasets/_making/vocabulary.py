"""Tokens and their numbers."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence

import numpy as np

from keras_rnnx._errors import nearest, unknown
from keras_rnnx._numbers import integer

PADDING, UNKNOWN, START, END, BLANK = "<pad>", "<unk>", "<start>", "<end>", "<blank>"
LEVELS = ("word", "character")


class Vocabulary:
    """Tokens and their numbers, to encode texts and decode what a model writes.

    The number of a token is its place among `tokens`. Tasks whose sequences are padded
    have "<pad>" first: 0 is the number that `Embedding(mask_zero=True)` masks. Where
    there is "<unk>", it stands for all tokens that are not known.

    Args:
        tokens: the tokens, each once.
        level: what a text is cut into: "word", at blanks, or "character". Default
            "word".

    Raises:
        ValueError: for a token that occurs twice, no tokens, or an unknown level.

    Example:

    >>> words = keras_rnnx.datasets.Vocabulary.of(["to be or not", "to be"], least=2)
    >>> words.tokens
    ('<pad>', '<unk>', 'be', 'to')
    >>> words.encode("to see").tolist(), words.decode([3, 2, 0, 0])
    ([3, 1], 'to be')
    """

    def __init__(self, tokens: Iterable[str], level: str = "word"):
        if level not in LEVELS:
            raise unknown("level", level, LEVELS)
        self.tokens, self.level = tuple(map(str, tokens)), level
        self._numbers = {token: n for n, token in enumerate(self.tokens)}
        if not self.tokens:
            raise ValueError("`tokens` is empty.")
        if len(self._numbers) < len(self.tokens):
            ((twice, _),) = collections.Counter(self.tokens).most_common(1)
            raise ValueError(f"`tokens` holds {twice!r} more than once.")

    @classmethod
    def of(
        cls,
        sequences: Iterable[str | Sequence[str]],
        size: int | None = None,
        least: int = 1,
        level: str = "word",
        specials: Sequence[str] = (PADDING, UNKNOWN),
    ) -> Vocabulary:
        """The vocabulary of texts, its frequent tokens first.

        Args:
            sequences: texts, or sequences of tokens.
            size: how many tokens to keep, with the special ones. Default None: all.
            least: how often a token must occur. Default 1.
            level: what texts are cut into: "word" or "character". Default "word".
            specials: tokens that come first. Default "<pad>" and "<unk>".

        Raises:
            ValueError: for an unknown level or a number out of range.
        """
        integer("least", least, 1)
        counts: collections.Counter[str] = collections.Counter()
        for sequence in sequences:
            counts.update(_cut(sequence, level))
        frequent = {token for token, n in counts.items() if n >= least}
        tokens = sorted(frequent - set(specials), key=lambda t: (-counts[t], t))
        if size is not None:
            tokens = tokens[: integer("size", size, len(specials)) - len(specials)]
        return cls((*specials, *tokens), level)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self._numbers

    def number(self, token: str) -> int:
        """The number of a token.

        Raises:
            ValueError: if it is not known and there is no "<unk>".
        """
        number = self._numbers.get(token, self._numbers.get(UNKNOWN))
        if number is None:
            close = nearest(token, self.tokens)
            hint = f" Near it: {', '.join(map(repr, close))}." if close else ""
            raise ValueError(
                f"The vocabulary of {len(self)} tokens has no {token!r}, nor "
                f"{UNKNOWN!r} to stand for it.{hint}"
            )
        return number

    def encode(self, sequence: str | Sequence[str]) -> np.ndarray:
        """The numbers of a text or of tokens, int32 `(time,)`.

        Raises:
            ValueError: for a token that is not known, if there is no "<unk>".
        """
        return np.array([self.number(t) for t in _cut(sequence, self.level)], "int32")

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of numbers up to "<end>", without padding, start and blanks.

        Raises:
            ValueError: for a number without a token.
        """
        tokens = [self._token(int(n)) for n in numbers]
        if END in tokens:
            tokens = tokens[: tokens.index(END)]
        separator = " " if self.level == "word" else ""
        silent = {PADDING, START, BLANK}
        return separator.join(token for token in tokens if token not in silent)

    def _token(self, number: int) -> str:
        if not 0 <= number < len(self):
            raise ValueError(f"There are {len(self)} tokens, received number {number}.")
        return self.tokens[number]

    def __repr__(self) -> str:
        return f"<Vocabulary of {len(self)} tokens, level {self.level!r}>"


def _cut(sequence: str | Sequence[str], level: str) -> Sequence[str]:
    if not isinstance(sequence, str):
        return sequence
    return sequence.split() if level == "word" else sequence


def is_text(row: object) -> bool:
    """Whether a sequence is a text, or consists of tokens that are texts."""
    if isinstance(row, (list, tuple)):
        return bool(row) and all(isinstance(token, str) for token in row)
    return isinstance(row, str)
