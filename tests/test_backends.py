"""Compiled and eager, in batches of every length: the same numbers."""

import catalogue
import keras
import numpy as np
import pytest
from tensors import numpy

from keras_rnnx import layers

BACKEND = keras.backend.backend()


@pytest.mark.parametrize(
    "jit_compile", [False] if BACKEND == "torch" else [False, True]
)
def test_fit_on_batches_of_every_length(jit_compile):
    model = keras.Sequential(
        [
            keras.layers.Masking(),
            layers.GRU(6, return_sequences=True),
            layers.LSTM(5),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse", jit_compile=jit_compile)

    class Ragged(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            x = np.random.default_rng(index).normal(size=(2 + index, 4 + index, 3))
            return x.astype("float32"), x[:, 0, :1].astype("float32")

    loss = model.fit(Ragged(), epochs=2, verbose=0).history["loss"]
    assert np.all(np.isfinite(loss))


def test_a_compiled_step_equals_an_eager_call():
    layer = catalogue.built("lstm")
    x = np.random.default_rng(3).normal(size=(3, 5, 4)).astype("float32")
    eager = numpy(layer(x))
    if BACKEND == "tensorflow":
        import tensorflow as tf

        compiled = tf.function(layer, jit_compile=True)(x)
    elif BACKEND == "jax":
        import jax

        compiled = jax.jit(
            lambda t, n, x: layer.stateless_call(t, n, x)[0],
        )(
            [v.value for v in layer.trainable_variables],
            [v.value for v in layer.non_trainable_variables],
            x,
        )
    else:
        import torch

        with torch.inference_mode():
            compiled = layer(torch.tensor(x))
    np.testing.assert_allclose(numpy(compiled), eager, rtol=1e-6, atol=1e-6)
