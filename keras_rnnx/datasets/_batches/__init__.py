"""Sequences in batches, for `fit`."""
