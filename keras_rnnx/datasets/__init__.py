"""Tasks to train and tune on, a registry of them, and sequences in batches."""

from keras_rnnx.datasets import adding, digits, temporal_order
from keras_rnnx.datasets.contiguous import ContiguousBatches
from keras_rnnx.datasets.kinds import KINDS, Kind, Objective
from keras_rnnx.datasets.padded import PaddedBatches
from keras_rnnx.datasets.paired import PairedBatches
from keras_rnnx.datasets.random_steps import RandomSteps
from keras_rnnx.datasets.registry import list_tasks, load_task, register_task
from keras_rnnx.datasets.series import Scaling
from keras_rnnx.datasets.splitting import Split
from keras_rnnx.datasets.task import Figure, Task
from keras_rnnx.datasets.vocabulary import Vocabulary

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
    "digits",
    "list_tasks",
    "load_task",
    "register_task",
    "temporal_order",
]
