"""Finds the module for the Keras backend in use; `protocol.py` is their contract."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, cast

import keras

from keras_rnnx.engine.backends.protocol import Backend, EagerBackend

if TYPE_CHECKING:
    from keras_rnnx.engine.backends import jax, tensorflow, torch

    # Each file keeps the contract, as far as a type checker sees.
    _kept: tuple[Backend, Backend, EagerBackend] = (tensorflow, jax, torch)

NAMES = ("tensorflow", "jax", "torch")


def find() -> Backend | None:
    """The module for the Keras backend in use, or None if only Keras' loop runs."""
    name = keras.backend.backend()
    return _module(name) if name in NAMES else None


def current() -> Backend:
    """The module for the Keras backend in use, for engines, which need one."""
    return _module(keras.backend.backend())


@functools.cache
def _module(name: str) -> Backend:
    module = importlib.import_module(f"keras_rnnx.engine.backends.{name}")
    return cast(Backend, module)
