"""Counts what XLA compiles while models train: run by `test_tensorflow_xla.py`.

XLA reads where to write its programs when it starts, so this is a process of its own,
with that folder in `XLA_FLAGS` and as its argument. It prints JSON: for every way to
train, the number of programs after each step.
"""

import json
import os
import sys

import keras
import numpy as np
import tensorflow as tf

from keras_rnnx import layers

PROGRAMS = sys.argv[1]
FEATURES, UNITS = 3, 2
# Few gates each: the number of gates changes only how long XLA takes.
KINDS = {
    "loop": lambda: layers.LeakyRNN(UNITS, leak_trainable=True),
    "two states": lambda: layers.LSTM(UNITS, initial_state_trainable=True),
    "late gates": lambda: layers.GRU(UNITS, reset_after=False),
    "diagonal": lambda: layers.IndRNN(UNITS),
    "scan": lambda: layers.MinGRU(UNITS),
    "complex scan": lambda: layers.LRU(UNITS),
    "window": lambda: layers.QRNN(UNITS),
    "normalized": lambda: layers.SimpleRNN(UNITS, layer_norm=True),
    "stacked": lambda: layers.Stack("simple_rnn", UNITS, depth=2, dropout=0.5),
    "bidirectional": lambda: keras.layers.Bidirectional(layers.SimpleRNN(UNITS)),
    "masks": lambda: layers.SimpleRNN(
        UNITS, dropout=0.5, recurrent_dropout=0.5, zoneout=0.5, weight_dropout=0.5
    ),
    "checkpoint": lambda: layers.SimpleRNN(UNITS, checkpoint=2),
}


def programs():
    """How many XLA compiled so far: it writes several files of each."""
    return len({name.split(".")[0] for name in os.listdir(PROGRAMS)})


def batches(*lengths):
    """Rows of other numbers each time, the first one padded."""
    rng = np.random.default_rng(0)
    for length in lengths:
        x = rng.normal(size=(2, length, FEATURES)).astype("float32")
        x[0, 2:] = 0
        yield x, rng.normal(size=(2, 1)).astype("float32")


def model(steps, kinds):
    """Layers side by side behind a mask, so that there is one program to compile."""
    inputs = keras.Input((steps, FEATURES))
    masked = keras.layers.Masking()(inputs)
    parts = [KINDS[kind]()(masked) for kind in kinds]
    outputs = keras.layers.Dense(1)(keras.layers.Concatenate()(parts))
    return keras.Model(inputs, outputs)


class Count(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.found = []

    def on_train_batch_end(self, batch, logs=None):
        self.found.append(programs() - self.start)

    def on_train_begin(self, logs=None):
        self.start = programs()


def in_fit(steps, kinds, *lengths):
    """`fit` of a model with `jit_compile=True`, over batches of these lengths."""
    whole = model(steps, kinds)
    whole.compile("sgd", "mse", jit_compile=True)
    signature = tf.TensorSpec((2, steps, FEATURES)), tf.TensorSpec((2, 1))
    data = tf.data.Dataset.from_generator(
        lambda: batches(*lengths), output_signature=signature
    )
    count = Count()
    whole.fit(data, verbose=0, callbacks=[count], steps_per_epoch=len(lengths))
    return count.found


def in_function(jit_compile):
    """A training step of one's own."""
    whole = model(4, ["loop", "scan"])
    optimizer = keras.optimizers.SGD(0.1)

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((whole(x, training=True) - y) ** 2)
        gradients = tape.gradient(loss, [v.value for v in whole.trainable_variables])
        optimizer.apply(gradients, whole.trainable_variables)

    if jit_compile is not None:
        optimizer.build(whole.trainable_variables)
        step = tf.function(step, jit_compile=jit_compile)
    start, found = programs(), []
    for x, y in batches(4, 4, 4):
        step(tf.constant(x), tf.constant(y))
        found.append(programs() - start)
    return found


if __name__ == "__main__":
    print(
        json.dumps(
            {
                "fit": in_fit(3, KINDS, 3, 3, 3),
                "open": in_fit(None, ["loop", "scan", "diagonal"], 3, 3, 4, 3, 4),
                "compiled function": in_function(True),
                "function": in_function(False),
                "eager": in_function(None),
            }
        )
    )
