"""How many units give a model a number of weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

PROBES = (8, 16, 32)


def units_for(count: Callable[[int], int], parameters: int) -> int:
    """The number of units with which a model has about so many weights.

    The number of weights of recurrent layers is a polynomial of second degree in their
    units. Three small models give it.

    Args:
        count: gives the number of weights for a number of units.
        parameters: how many weights there are to be.

    Returns:
        The number whose weights are nearest to `parameters`.

    Raises:
        ValueError: if a model of one unit has more than twice as many weights.
    """
    known = {units: count(units) for units in PROBES}
    a, b, c = np.polyfit(list(known), list(known.values()), 2)
    a = max(a, 0.0)
    if a > 1e-6:
        root = (-b + np.sqrt(max(b * b - 4 * a * (c - parameters), 0.0))) / (2 * a)
    else:
        root = (parameters - c) / b
    guess = max(1, round(root))

    def distance(units):
        if units not in known:
            known[units] = count(units)
        return abs(known[units] - parameters)

    # What is no polynomial (a part that grows in steps) is found from there.
    while True:
        near = [units for units in (guess - 1, guess, guess + 1) if units > 0]
        best = min(near, key=distance)
        if best == guess:
            break
        guess = best
    if known[guess] > 2 * parameters:
        raise ValueError(
            f"`params` is {parameters:,}, and a model of {guess} unit has "
            f"{known[guess]:,} weights: raise it, or leave out what is around the "
            f"recurrent layers."
        )
    return guess
