"""Computes the units that give a model a certain number of weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

PROBES = (8, 16, 32)


def units_for(count: Callable[[int], int], parameters: int) -> int:
    """The number of units with which a model has about so many weights.

    The number of weights of recurrent layers is a polynomial of second degree in their
    units. Three small models determine it.

    Args:
        count: a function from a number of units to the number of weights.
        parameters: the number of weights to reach.

    Returns:
        The number of units whose weights are nearest to `parameters`.

    Raises:
        ValueError: if a model of one unit has more than twice as many weights.
    """
    counts = {units: count(units) for units in PROBES}
    a, b, c = np.polyfit(list(counts), list(counts.values()), 2)
    a = max(a, 0.0)
    if a > 1e-6:
        root = (-b + np.sqrt(max(b * b - 4 * a * (c - parameters), 0.0))) / (2 * a)
    else:
        root = (parameters - c) / b
    guess = max(1, round(root))

    def distance(units: int) -> int:
        if units not in counts:
            counts[units] = count(units)
        return abs(counts[units] - parameters)

    # If the count is not a polynomial (a part grows in steps), search from there.
    while True:
        near = [units for units in (guess - 1, guess, guess + 1) if units > 0]
        best = min(near, key=distance)
        if best == guess:
            break
        guess = best
    if counts[guess] > 2 * parameters:
        raise ValueError(
            f"`params` is {parameters:,}, but a model of {guess} unit has "
            f"{counts[guess]:,} weights: raise it, or make the model around the "
            f"recurrent layers smaller."
        )
    return guess
