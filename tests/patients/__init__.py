"""Patients that are drawn: recurrent networks with one trouble each, and healthy ones.

`draw` makes one by its kind (`troubles.KINDS`) and a number, `examine` many, and
compares the first finding of `keras_rnnx.diagnose` with what is wrong. With
PYTHONPATH=tests, `python -m patients --count 400 --seed 1` does so for as many as one
likes, and prints a table.
"""

from __future__ import annotations

import collections
import dataclasses
import time
import zlib
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import seeds

from patients.troubles import KINDS, Patient

# Of each 21 patients: the issues of a real practice are as many kinds as can be.
SHARES = {
    "small radius": 2,
    "large inputs": 1,
    "long sequences": 1,
    "large radius": 2,
    "forgetful": 2,
    "dead rectifiers": 1,
    "high rate": 1,
    "low rate": 1,
    "overfitted": 1,
    "rare labels": 1,
    "slow": 2,
    "healthy": 6,
}


def available() -> list[str]:
    """The kinds that there are on this backend.

    Without a GPU only torch has kernels: there is no trouble of cost on others.
    """
    torch = keras.backend.backend() == "torch"
    return [kind for kind in KINDS if kind != "slow" or torch]


def draw(kind: str, number: int) -> Patient:
    """One patient. The same number gives the same one.

    Args:
        kind: one of `KINDS`.
        number: of the patient.
    """
    name = f"patient {kind} {number}"
    seeds.seed(name)
    return KINDS[kind](np.random.default_rng(zlib.crc32(name.encode())), number)


@dataclasses.dataclass
class Seen:
    """A patient that was examined.

    Attributes:
        kind, number: as for `draw`.
        words: what was drawn.
        expected: names of findings that are right; empty if healthy.
        first: the name of the first finding, or "none".
        seconds: of the processor, for drawing and for the diagnosis.
    """

    kind: str
    number: int
    words: str
    expected: tuple[str, ...]
    first: str
    seconds: tuple[float, float] = (0.0, 0.0)

    @property
    def right(self) -> bool:
        """Whether the first finding is right."""
        return self.first in (self.expected or ("none",))


def chosen(count: int, seed: int) -> Iterator[tuple[str, int]]:
    """Kinds and numbers of so many patients, by `SHARES`."""
    kinds = available()
    total = sum(SHARES[kind] for kind in kinds)
    for kind in kinds:
        # The least rest is that of the last.
        own = round(count * SHARES[kind] / total)
        yield from ((kind, 10_000 * seed + k) for k in range(own))


def examine(patients: Iterable[tuple[str, int]]) -> Iterator[Seen]:
    """Draws patients and diagnoses them."""
    for kind, number in patients:
        start = time.process_time()
        patient = draw(kind, number)
        drawn = time.process_time()
        first = patient.first()
        seconds = drawn - start, time.process_time() - drawn
        yield Seen(kind, number, patient.words, patient.expected, first, seconds)
        # The graphs and programs of a model are its own.
        keras.backend.clear_session(free_memory=False)


def rates(seen: Iterable[Seen]) -> tuple[float, float]:
    """The share of the ill that are named, and of the healthy with a finding."""
    seen = list(seen)
    ill = [one.right for one in seen if one.expected]
    healthy = [not one.right for one in seen if not one.expected]
    return float(np.mean(ill or [1])), float(np.mean(healthy or [0]))


def table(seen: Iterable[Seen]) -> str:
    """How often each first finding was made of each kind."""
    seen = list(seen)
    names = sorted({one.first for one in seen} - {"none"}) + ["none"]
    counts = collections.Counter((one.kind, one.first) for one in seen)
    kinds = [kind for kind in KINDS if any(one.kind == kind for one in seen)]
    wide = max(map(len, kinds)) if kinds else 0
    lines = [" " * wide + "  " + "  ".join(names) + "  right   made  diagnosed"]
    for kind in kinds:
        row = [f"{counts[kind, name] or '.':>{len(name)}}" for name in names]
        own = [one for one in seen if one.kind == kind]
        right = np.mean([one.right for one in own])
        made, diagnosed = np.mean([one.seconds for one in own], axis=0)
        shown = f"  {right:5.0%}  {made:4.1f}s  {diagnosed:4.1f}s"
        lines.append(f"{kind:{wide}}  " + "  ".join(row) + shown)
    return "\n".join(lines)


def misses(seen: Iterable[Seen]) -> list[str]:
    """In words, those whose first finding is not the right one."""
    return [
        f"{one.kind} {one.number}: {one.first}, not "
        f"{' or '.join(one.expected) or 'none'} ({one.words})"
        for one in seen
        if not one.right
    ]
