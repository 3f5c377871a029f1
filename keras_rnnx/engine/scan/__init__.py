"""The scan engine: cells that are linear in their state."""
