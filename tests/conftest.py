"""Leaves out the tests of backends that are not in use."""

import keras

ABOUT_ONE_BACKEND = {"tensorflow": "test_tensorflow.py"}
collect_ignore = [
    path
    for backend, path in ABOUT_ONE_BACKEND.items()
    if keras.backend.backend() != backend
]
