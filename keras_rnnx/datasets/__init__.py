"""Tasks to train and tune recurrent models on, and a registry for your own."""

from keras_rnnx.datasets import adding, digits, temporal_order
from keras_rnnx.datasets.task import (
    Objective,
    Split,
    Task,
    list_tasks,
    load_task,
    register_task,
)

__all__ = [
    "Objective",
    "Split",
    "Task",
    "adding",
    "digits",
    "list_tasks",
    "load_task",
    "register_task",
    "temporal_order",
]
