"""Files that TensorFlow writes: equal for any number of steps, and read by others."""

import subprocess
import sys
import textwrap

import catalogue
import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rnnx import layers

# The interpreter is moving to a package of its own.
pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")

LAYERS = {
    **{
        f"{variant}{how}": (lambda variant=variant: catalogue.built(variant), masked)
        for variant in catalogue.VARIANTS
        for how, masked in (("", False), (" masked", True))
    },
    "zoneout": (lambda: layers.LSTM(5, zoneout=0.1), True),
    "normalized": (lambda: layers.GRU(5, layer_norm=True), True),
    "stack": (lambda: layers.Stack("lem", 5, depth=2, return_sequences=True), True),
    "directions": (lambda: layers.Bidirectional(layers.MinGRU(5)), True),
}


@pytest.mark.cases(6)
@pytest.mark.parametrize("name", LAYERS)
def test_litert_files_serve_any_number_of_steps_with_litert_alone(name, tmp_path):
    """With a batch of fixed size: of open size, its lists need TensorFlow (Flex)."""
    keras.utils.set_random_seed(0)
    make, masked = LAYERS[name]
    inputs = keras.Input((None, 4))
    inner = keras.layers.Masking()(inputs) if masked else inputs
    model = keras.Model(inputs, make()(inner))
    model.export(
        tmp_path / "model.tflite",
        format="litert",
        verbose=False,
        input_signature=[keras.InputSpec(shape=(2, None, 4), dtype="float32")],
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
    )
    reader = tf.lite.Interpreter(str(tmp_path / "model.tflite"))
    (given,), (result,) = reader.get_input_details(), reader.get_output_details()
    for steps in (5, 8):
        x = np.random.default_rng(steps).normal(size=(2, steps, 4)).astype("float32")
        if masked:
            x[0, steps // 2 :] = 0
            x[1, 1] = 0
        reader.resize_tensor_input(given["index"], x.shape)
        reader.allocate_tensors()
        reader.set_tensor(given["index"], x)
        reader.invoke()
        served = reader.get_tensor(result["index"])
        np.testing.assert_allclose(served, model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_exported_models_serve_without_this_package(tmp_path):
    keras.utils.set_random_seed(0)
    made = {
        "kernel": layers.LSTM(5),
        "late": layers.GRU(5, reset_after=False),
        "scan": layers.SRU(5),
        "window": layers.QRNN(5),
        "normalized": layers.LSTM(5, layer_norm=True),
        "stack": layers.Stack("gru", 5, depth=2),
    }
    x = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
    x[1, 3:] = 0
    expected = {}
    for name, layer in made.items():
        inputs = keras.Input((None, 4))
        model = keras.Model(inputs, layer(keras.layers.Masking()(inputs)))
        model.export(tmp_path / name, verbose=False)
        for steps in (4, 6):
            expected[f"{name}/{steps}"] = np.asarray(model(x[:, :steps]))
    np.savez(tmp_path / "expected.npz", x=x, **expected)
    code = """
        import sys, numpy as np, tensorflow as tf
        kept = dict(np.load(sys.argv[1] + "/expected.npz"))
        x, loaded = kept.pop("x"), {}
        for key, value in kept.items():
            name, steps = key.split("/")
            if name not in loaded:
                loaded[name] = tf.saved_model.load(sys.argv[1] + "/" + name)
            found = loaded[name].serve(x[:, : int(steps)])
            np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)
        # TensorFlow may import Keras by itself.
        assert "keras_rnnx" not in sys.modules
        print("served", len(kept))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["served", "12"]
