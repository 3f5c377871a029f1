"""Imports the modules that workers need, in the process that they are forked from."""

import keras

import keras_rnnx.models
import keras_rnnx.tuner._processes.worker  # noqa: F401

# When it saves an activation, Keras imports an installed TensorFlow on every backend.
keras.activations.serialize(keras.activations.tanh)
