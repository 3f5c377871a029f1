"""The commands of `keras-rnnx`: `keras_rnnx/cli.py` puts them together."""
