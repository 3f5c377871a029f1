"""KerasTuner search over recurrent models.

`HyperRNN` is a hypermodel for any KerasTuner tuner. `search` runs a whole search over a
task and saves the result; after an interruption it continues where it was.
"""

try:
    import keras_tuner  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(
        f"keras_rnnx.tuner needs {error.name}: pip install 'keras-rnnx[tuner]'."
    ) from error

from keras_rnnx.tuner._session import Progress
from keras_rnnx.tuner.block import recurrent_block
from keras_rnnx.tuner.errors import SearchError, SearchPaused
from keras_rnnx.tuner.hypermodel import HyperRNN
from keras_rnnx.tuner.result import SearchResult
from keras_rnnx.tuner.search import search

__all__ = [
    "HyperRNN",
    "Progress",
    "SearchError",
    "SearchPaused",
    "SearchResult",
    "recurrent_block",
    "search",
]
