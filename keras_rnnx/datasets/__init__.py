"""Tasks to train and tune on, a registry of them, and sequences in batches."""

import importlib.util

from keras_rnnx.datasets import adding, baselines, digits, drawn, temporal_order
from keras_rnnx.datasets._batches.contiguous import ContiguousBatches
from keras_rnnx.datasets._batches.padded import PaddedBatches
from keras_rnnx.datasets._batches.paired import PairedBatches
from keras_rnnx.datasets._batches.random_steps import RandomSteps
from keras_rnnx.datasets._making.prepared import prepare, read
from keras_rnnx.datasets._making.series import Scaling
from keras_rnnx.datasets._making.splitting import Split
from keras_rnnx.datasets._making.vocabulary import Vocabulary
from keras_rnnx.datasets.facts import Figure
from keras_rnnx.datasets.kinds import KINDS, Kind, Objective
from keras_rnnx.datasets.registry import list_tasks, load_task, register_task
from keras_rnnx.datasets.task import Task

# They register their tasks.
from keras_rnnx.datasets import drawn_tasks, file_tasks, speech_tasks  # isort: skip

if importlib.util.find_spec("tensorflow_datasets") is not None:
    # It registers them; TensorFlow stays where it is.
    from keras_rnnx.datasets import builders  # noqa: F401

__all__ = [
    "KINDS",
    "ContiguousBatches",
    "Figure",
    "Kind",
    "Objective",
    "PaddedBatches",
    "PairedBatches",
    "RandomSteps",
    "Scaling",
    "Split",
    "Task",
    "Vocabulary",
    "adding",
    "baselines",
    "digits",
    "drawn",
    "drawn_tasks",
    "file_tasks",
    "list_tasks",
    "load_task",
    "prepare",
    "read",
    "register_task",
    "speech_tasks",
    "temporal_order",
]
