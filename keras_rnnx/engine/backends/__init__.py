"""The file that fits the Keras backend in use; `protocol.py` says what each has."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import keras

from keras_rnnx.engine.backends.protocol import Backend

NAMES = ("tensorflow", "jax", "torch")


def find() -> Backend | None:
    """The module for the Keras backend in use, None where only Keras' loop runs."""
    name = keras.backend.backend()
    return _module(name) if name in NAMES else None


def current() -> Any:
    """The same, where there is one: the engines run nowhere else."""
    return _module(keras.backend.backend())


@functools.cache
def _module(name):
    return importlib.import_module(f"keras_rnnx.engine.backends.{name}")
