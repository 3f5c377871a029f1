"""The raw files of data sets: where they are, and what they hold."""
