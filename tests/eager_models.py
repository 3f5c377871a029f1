"""Models that TensorFlow does not compile."""

import contextlib
from unittest import mock

import keras

import keras_rnnx


@contextlib.contextmanager
def on_tensorflow():
    """A block in which models run eagerly, step by step, where TensorFlow runs them."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    compile_ = keras.Model.compile

    def eagerly(model, *arguments, **options):
        return compile_(model, *arguments, **{"run_eagerly": True, **options})

    with (
        mock.patch.object(keras.Model, "compile", eagerly),
        keras_rnnx.engine.force("step"),
    ):
        yield
