"""What workers need, imported once in the process that they are forked from."""

import keras

import keras_rnnx.models
import keras_rnnx.tuner._processes.worker  # noqa: F401

# Saving an activation, Keras imports TensorFlow on every backend if it is installed.
keras.activations.serialize(keras.activations.tanh)
