"""Error messages with the received name and similar valid ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(received: str, valid: Iterable[str]) -> list[str]:
    """The names in `valid` that look most like `received`, best first."""
    by_lower = {name.lower(): name for name in valid}
    close = difflib.get_close_matches(str(received).lower(), by_lower, n=3, cutoff=0.5)
    return [by_lower[name] for name in close]


def unknown(kind: str, received: object, valid: Iterable[str]) -> ValueError:
    """A ValueError for a name that is not one of `valid`.

    Args:
        kind: the kind of thing that it names, such as "cell" or "task".
        received: the received name.
        valid: the names that exist.
    """
    valid = sorted(valid)
    close = nearest(str(received), valid)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return ValueError(
        f"Unknown {kind}: received {received!r}.{hint} Valid names: {', '.join(valid)}."
    )
