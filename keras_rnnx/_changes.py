"""Objects that count how often their attributes change."""

from __future__ import annotations

from typing import Any


class CountsChanges:
    """Counts how often an attribute is set to another object.

    A result that depends on the attributes, such as the plan of a layer, stays valid
    while the count is the same.
    """

    _changes = 0

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__dict__.get(name, self) is not value:
            # Not through Keras, which inspects every value.
            object.__setattr__(self, "_changes", self._changes + 1)
        super().__setattr__(name, value)


def count(*objects: CountsChanges) -> tuple[int, ...]:
    """The counts of some objects."""
    return tuple(item._changes for item in objects)
