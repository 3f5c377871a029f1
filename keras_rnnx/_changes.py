"""Objects that count how often their attributes change."""

from __future__ import annotations

from typing import Any


class CountsChanges:
    """Counts how often an attribute is set to something else.

    What is made from the attributes, such as the plan of a layer, holds while the count
    stays the same.
    """

    _changes = 0

    def __setattr__(self, name: str, value: Any):
        if self.__dict__.get(name, self) is not value:
            # Past Keras, which looks into all that is set.
            object.__setattr__(self, "_changes", self._changes + 1)
        super().__setattr__(name, value)


def count(*objects: CountsChanges) -> tuple[int, ...]:
    """The counts of some objects."""
    return tuple(item._changes for item in objects)
