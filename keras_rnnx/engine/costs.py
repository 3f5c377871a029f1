"""Whether a kernel that can run a cell is also the faster way."""

from __future__ import annotations


def refusal(cell, engine, training, batch):
    """Placeholder until measured."""
    return None
