"""Derives seeds from their purpose."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def derive_seed(*parts: Any) -> int:
    """A seed determined by `parts`, the same in every process.

    Args:
        *parts: JSON-serializable values; their order matters.

    Returns:
        An integer in [1, 2**31): KerasTuner treats a seed of 0 as none.
    """
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1 or 1
