"""Builders of tensorflow-datasets; to import them registers them there.

The names begin with "rnnx_". Nothing here imports TensorFlow.
"""

from keras_rnnx.datasets.builders.chaos import (
    Lorenz,
    LorenzConfig,
    MackeyGlass,
    MackeyGlassConfig,
)
from keras_rnnx.datasets.builders.cmudict import Cmudict
from keras_rnnx.datasets.builders.drawn import (
    Adding,
    AddingConfig,
    CopyMemory,
    CopyMemoryConfig,
    DrawnConfig,
    Parity,
    ParityConfig,
    TemporalOrder,
    TemporalOrderConfig,
)
from keras_rnnx.datasets.builders.music import (
    JsbChorales,
    Musedata,
    Nottingham,
    PianoMidi,
)
from keras_rnnx.datasets.builders.penn_treebank import PennTreebank
from keras_rnnx.datasets.builders.pixels import (
    NoisePaddedDigits,
    NoisePaddedDigitsConfig,
    SequentialDigits,
    SequentialDigitsConfig,
    SequentialMnist,
)
from keras_rnnx.datasets.builders.sentences import MovieReviews, Sst, Trec
from keras_rnnx.datasets.builders.spoken_digits import SpokenDigits
from keras_rnnx.datasets.builders.uea import Uea, UeaConfig

__all__ = [
    "Adding",
    "AddingConfig",
    "Cmudict",
    "CopyMemory",
    "CopyMemoryConfig",
    "DrawnConfig",
    "JsbChorales",
    "Lorenz",
    "LorenzConfig",
    "MackeyGlass",
    "MackeyGlassConfig",
    "MovieReviews",
    "Musedata",
    "NoisePaddedDigits",
    "NoisePaddedDigitsConfig",
    "Nottingham",
    "Parity",
    "ParityConfig",
    "PennTreebank",
    "PianoMidi",
    "SequentialDigits",
    "SequentialDigitsConfig",
    "SequentialMnist",
    "SpokenDigits",
    "Sst",
    "TemporalOrder",
    "TemporalOrderConfig",
    "Trec",
    "Uea",
    "UeaConfig",
]
