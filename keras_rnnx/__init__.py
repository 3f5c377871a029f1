"""Recurrent layers for Keras 3: regularized, leaky-initialized and gated.

Modules:
    cells: the recurrent cells, each a declaration and an equation.
    layers: Keras layers over them.
    initializers: initializers of recurrent weights.
    regularizers: penalties on recurrent weights and on outputs of all steps.
    constraints: constraints on recurrent weights.
    engine: the engines that run sequences, and the plan that chooses one.
    testing: the conformance suite for cells.
    losses: losses of sequences of classes.
    models: a model for each kind of sequence task, and its decoding.
    datasets: tasks to train and tune on.
    diagnosis: what is wrong with a model that does not train.
    callbacks: truncated backpropagation, divergence, backups.
    metrics: perplexity, error rates, and others that weight all steps equally.
    optimizers: averages of weights.
    tuner: KerasTuner search over recurrent models.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

try:
    import keras as _keras  # noqa: F401
except ImportError as error:
    from keras_rnnx import _missing_backend

    _sentence = _missing_backend.explanation(error)
    if _sentence is None:
        raise
    if _missing_backend.is_command():
        # The command prints a message without a traceback.
        print(f"keras-rnnx: {_sentence}", file=sys.stderr)
        sys.exit(2)
    raise ImportError(_sentence) from None

from keras_rnnx import (
    cells,
    constraints,
    engine,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
)
from keras_rnnx._version import __version__

_LAZY = {
    "convert": "keras_rnnx.conversion",
    "diagnose": "keras_rnnx.diagnosis",
    "explain": "keras_rnnx.inspection.explain",
    "callbacks": None,
    "datasets": None,
    "diagnosis": None,
    "models": None,
    "testing": None,
    "tuner": None,
}

__all__ = [
    "__version__",
    "callbacks",
    "cells",
    "constraints",
    "convert",
    "datasets",
    "diagnose",
    "diagnosis",
    "engine",
    "explain",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "testing",
    "tuner",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'keras_rnnx' has no attribute {name!r}")
    module = importlib.import_module(_LAZY[name] or f"keras_rnnx.{name}")
    value = getattr(module, name) if _LAZY[name] else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
