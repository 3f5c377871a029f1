"""How long candidates train: seconds for all of them, or steps or epochs of each."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from keras_rnnx import _durations

# Points of a curve.
POINTS = 20


class Budget(NamedTuple):
    """How long each candidate trains.

    Attributes:
        seconds: of all together, or None.
        steps: of each, or None.
        epochs: of each, or None.
    """

    seconds: float | None = None
    steps: int | None = None
    epochs: float | None = None

    def steps_of(self, epoch: int) -> int | None:
        """The number of steps, or None where time decides.

        Args:
            epoch: number of steps of an epoch.
        """
        if self.epochs is not None:
            return max(1, math.ceil(self.epochs * epoch))
        return self.steps


def parse(budget: Any) -> Budget:
    """A budget as users write it.

    Args:
        budget: seconds, or a text such as "2m", "500 steps" or "3 epochs".

    Raises:
        ValueError: for anything else.
    """
    number = isinstance(budget, (int, float)) and not isinstance(budget, bool)
    if number and 0 < budget < math.inf:
        return Budget(seconds=float(budget))
    if isinstance(budget, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?) *(step|epoch)s?", budget.strip())
        if match and match[2] == "epoch" and float(match[1]) > 0:
            return Budget(epochs=float(match[1]))
        if match and match[1].isdigit() and int(match[1]) > 0:
            return Budget(steps=int(match[1]))
        seconds = _durations.seconds(budget.strip())
        if seconds is not None:
            return Budget(seconds=seconds)
    raise ValueError(
        f'`budget` must be a time for all candidates together, such as "90s", "5m" or '
        f'a number of seconds, or what each of them gets, such as "500 steps" or '
        f'"3 epochs"; received {budget!r}.'
    )
