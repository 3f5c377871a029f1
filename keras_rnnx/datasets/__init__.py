"""Tasks to train and tune on, a registry of them, and sequences in batches."""

import importlib.util

from keras_rnnx.datasets import adding, baselines, digits, drawn, temporal_order
from keras_rnnx.datasets.contiguous import ContiguousBatches
from keras_rnnx.datasets.padded import PaddedBatches
from keras_rnnx.datasets.prepared import prepare, read
from keras_rnnx.datasets.random_steps import RandomSteps
from keras_rnnx.datasets.task import (
    Objective,
    Split,
    Task,
    list_tasks,
    load_task,
    register_task,
)

if importlib.util.find_spec("tensorflow_datasets") is not None:
    # It registers them; TensorFlow stays where it is.
    from keras_rnnx.datasets import builders  # noqa: F401

__all__ = [
    "ContiguousBatches",
    "Objective",
    "PaddedBatches",
    "RandomSteps",
    "Split",
    "Task",
    "adding",
    "baselines",
    "digits",
    "drawn",
    "list_tasks",
    "load_task",
    "prepare",
    "read",
    "register_task",
    "temporal_order",
]
