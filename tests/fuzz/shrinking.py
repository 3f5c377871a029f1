"""Makes a case that differs smaller, as long as it differs in the same way.

A run takes seconds where backends compile. Arguments are left out and sizes cut, which
takes some tens of runs, where shrinking what was drawn would take hundreds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from fuzz.case import Case
from fuzz.comparing import Difference

SMALL = "simple_rnn"
# Runs, at most.
RUNS = 400


def shrink(difference: Difference, check: Callable[[Case], None]) -> Difference:
    """The difference of the smallest case that was found.

    Args:
        difference: of the case to begin with.
        check: raises the `Difference` of a case.
    """
    tried = {repr(difference.case)}
    smaller = True
    while smaller and len(tried) < RUNS:
        smaller = False
        for case in candidates(difference.case):
            if repr(case) in tried:
                continue
            tried.add(repr(case))
            try:
                check(case)
            except Difference as found:
                if found.error == difference.error:
                    difference, smaller = found, True
                    break
    return difference


def candidates(case: Case) -> Iterator[Case]:
    """Smaller cases, those that leave out most first. Some may not be valid."""

    def other(**changes):
        return dataclasses.replace(case, **changes)

    if case.kind != "rnn":
        units = case.units[0] if case.kind == "stack" else case.units
        yield other(kind="rnn", units=units, around={})
    if case.cell != SMALL:
        yield other(cell=SMALL, arguments={})
    for name in ("arguments", "loop", "around"):
        given = getattr(case, name)
        if given:
            yield other(**{name: {}})
        for left_out in given:
            yield other(**{name: {k: v for k, v in given.items() if k != left_out}})
    if case.loop.get("go_backwards") and case.mask:
        loop = {k: v for k, v in case.loop.items() if k != "go_backwards"}
        yield other(loop=loop, mask=tuple(row[::-1] for row in case.mask))
    defaults = {field.name: field.default for field in dataclasses.fields(Case)}
    plain = (
        "open_shapes",
        "states",
        "calls",
        "training",
        "dtype",
        "mask",
        "fill",
        "seed",
    )
    for name in plain:
        if getattr(case, name) != defaults[name]:
            mask = {"fill": 0.0} if name == "mask" else {}
            yield other(**{name: defaults[name]}, **mask)
    for axis, size in enumerate(case.shape):
        for smaller in _smaller(size):
            shape = (*case.shape[:axis], smaller, *case.shape[axis + 1 :])
            for mask in _cut(case.mask, shape):
                yield other(shape=shape, mask=mask)
    if case.kind == "stack":
        for k in range(len(case.units)):
            yield other(units=case.units[:k] + case.units[k + 1 :])
        for smaller in _smaller(max(case.units)):
            yield other(units=tuple(min(n, smaller) for n in case.units))
    else:
        yield from (other(units=smaller) for smaller in _smaller(case.units))
    for k, row in enumerate(case.mask or ()):
        whole = (True,) * len(row)
        ones = [(*row[:t], True, *row[t + 1 :]) for t, valid in enumerate(row)]
        for simpler in dict.fromkeys([whole, *ones]):
            if simpler != row:
                yield other(mask=(*case.mask[:k], simpler, *case.mask[k + 1 :]))


def _smaller(size):
    return [n for n in dict.fromkeys([1, size // 2, size - 1]) if 0 < n < size]


def _cut(mask, shape):
    """The mask without rows or steps at the front or at the end."""
    if mask is None:
        return [None]
    rows, steps = shape[:2]
    front = tuple(row[:steps] for row in mask[:rows])
    end = tuple(row[-steps:] for row in mask[-rows:])
    return dict.fromkeys([front, end])
