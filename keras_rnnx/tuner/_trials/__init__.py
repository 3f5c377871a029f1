"""Runs one trial: its data, its training, its measurements."""
