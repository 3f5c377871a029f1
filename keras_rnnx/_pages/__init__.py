"""Pages that need no network: their parts, and the style of figures.

The report of a search and the one of `keras_rnnx.diagnose` are made of these.
"""
