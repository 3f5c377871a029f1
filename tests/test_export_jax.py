"""Models of JAX as TensorFlow's SavedModels: equal for any number of steps."""

import keras
import numpy as np
import pytest

from keras_rnnx import layers

KINDS = {
    "loop": lambda: layers.LSTM(4, return_sequences=True),
    "late": lambda: layers.GRU(4, reset_after=False, return_sequences=True),
    "scan": lambda: layers.MinGRU(4, return_sequences=True),
    "scan of pairs": lambda: layers.LRU(4, return_sequences=True),
    "window": lambda: layers.QRNN(4, return_sequences=True),
    "normalized": lambda: layers.LSTM(4, layer_norm=True, return_sequences=True),
    "stack": lambda: layers.Stack("lem", 4, depth=2, return_sequences=True),
    "directions": lambda: layers.Bidirectional(layers.GRU(4, return_sequences=True)),
}


@pytest.mark.cases(2)
@pytest.mark.parametrize("kind", KINDS)
def test_saved_models_serve_any_number_of_steps(kind, tmp_path):
    # Keras writes them by way of TensorFlow, which takes seconds to import.
    tensorflow = pytest.importorskip("tensorflow")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, KINDS[kind]()(keras.layers.Masking()(inputs)))
    model.export(tmp_path / "served", format="tf_saved_model", verbose=False)
    served = tensorflow.saved_model.load(tmp_path / "served")
    for batch, steps in ((1, 5), (3, 9)):
        x = np.random.default_rng(steps).normal(size=(batch, steps, 3))
        x = x.astype("float32")
        x[0, steps // 2 :] = x[-1, 0] = 0
        np.testing.assert_allclose(served.serve(x), model(x), rtol=1e-5, atol=1e-6)
