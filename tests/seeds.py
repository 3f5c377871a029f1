"""Each test draws what its name says, in whatever order and process tests run."""

import importlib
import random
import zlib

import hypothesis
import keras
import numpy as np

_draw = np.random.default_rng
_set = keras.utils.set_random_seed
_offset = 0


def seed(name):
    """Seeds Python, NumPy and the backend for the test of a name.

    Layers and initializers without a seed take theirs from Python's generator.
    """
    number = (zlib.crc32(name.encode()) + _offset) % 2**32
    if keras.backend.backend() == "tensorflow":
        _set(number)
        return
    # Keras' function imports TensorFlow wherever it is installed: for seconds.
    random.seed(number)
    np.random.seed(number)
    if keras.backend.backend() == "torch":
        importlib.import_module("torch").manual_seed(number)


def shift_all(config):
    """Shifts all seeds by `--seed-offset`: those of names and those that tests state.

    Without it they stay, and hypothesis draws the same examples each time.
    """
    global _offset
    _offset = config.getoption("seed_offset")
    hypothesis.settings.register_profile("same", derandomize=True)
    hypothesis.settings.register_profile("shifted", database=None, print_blob=True)
    hypothesis.settings.load_profile("shifted" if _offset else "same")
    if _offset:
        config.option.hypothesis_seed = _offset
        np.random.default_rng = _shifted_draw
        keras.utils.set_random_seed = _shifted_set


def as_stated(monkeypatch):
    """Takes the shift from seeds that are stated, for what only one of them gives."""
    monkeypatch.setattr(np.random, "default_rng", _draw)
    monkeypatch.setattr(keras.utils, "set_random_seed", _set)


def _shifted_draw(seed=None):
    return _draw([seed, _offset] if isinstance(seed, int) else seed)


def _shifted_set(seed):
    _set((seed + _offset) % 2**32)
