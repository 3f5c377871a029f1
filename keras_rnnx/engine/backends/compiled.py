"""What the files of JAX and TensorFlow have in common: both compile."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnx.engine.backends.protocol import Tensor

__all__ = ["exporting", "may_write", "plan_key", "records_loops", "tensor"]


def tensor(value: Any, dtype: str) -> Tensor:
    """A variable, an array or a tensor, as a tensor of a dtype."""
    return keras.ops.cast(keras.ops.convert_to_tensor(value), dtype)


def exporting() -> bool:
    """Whether the model is being exported as a graph: no matter here."""
    return False


def may_write() -> bool:
    """Whether operations may write to existing tensors: never."""
    return False


def plan_key() -> tuple | None:
    """None: plans are made only when a function is traced, which is seldom."""
    return None


def records_loops() -> bool:
    """Whether loops are recorded: no, they are compiled."""
    return False
