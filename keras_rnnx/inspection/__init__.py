"""Describes cells and explains layers, for pages and the terminal."""
