"""The processes that run the trials of a search: a chief and workers."""
