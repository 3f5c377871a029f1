"""Finds the module for the Keras backend in use; `protocol.py` is their contract."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import keras

from keras_rnnx.engine.backends.protocol import Backend

NAMES = ("tensorflow", "jax", "torch")


def find() -> Backend | None:
    """The module for the Keras backend in use, or None if only Keras' loop runs."""
    name = keras.backend.backend()
    return _module(name) if name in NAMES else None


def current() -> Any:
    """The module for the Keras backend in use, for engines, which need one."""
    return _module(keras.backend.backend())


@functools.cache
def _module(name):
    return importlib.import_module(f"keras_rnnx.engine.backends.{name}")
