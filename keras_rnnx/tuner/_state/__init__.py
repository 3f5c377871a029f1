"""The state of a search: its trials, when to stop them, and the next one."""
