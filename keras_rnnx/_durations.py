"""Times as people write them: 90s, 30m, 2h."""

from __future__ import annotations

import re

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float | None:
    """Seconds of a text such as 90s, 30m or 2h; None for another text, or no time."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match or not float(match[1]):
        return None
    return float(match[1]) * UNITS[match[2] or "s"]


def text(seconds: float) -> str:
    """A time in words that are short: 0.4 s, 12 s, 3.5 min, 2 h."""
    if seconds < 99.5:
        return f"{seconds:.2g} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.2g} min"
    return f"{seconds / 3600:.2g} h"
