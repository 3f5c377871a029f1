"""The state of a search: what was tried, what is stopped, what is next."""
