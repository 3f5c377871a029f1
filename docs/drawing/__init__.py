"""The figures of docs/images; `docs/figures.py` draws them."""
