"""Processes that run the trials of one search: a chief, and workers."""
