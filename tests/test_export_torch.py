"""Graphs that torch writes down: equal for any number of steps, or an error."""

import keras
import numpy as np
import onnxruntime
import pytest
import torch

import keras_rnnx
from keras_rnnx import layers

# Those of torch.jit itself, which Keras' export to ONNX uses.
pytestmark = [
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*legacy TorchScript:DeprecationWarning"),
]

OPEN_STEPS_IN_KERAS = tuple(map(int, keras.__version__.split(".")[:2])) < (3, 16)

KINDS = {
    "kernel": lambda: layers.LSTM(5, return_sequences=True),
    "kernel, mapped": lambda: layers.UGRNN(5, return_sequences=True),
    "kernel refused": lambda: layers.LSTMP(5, projection_units=3),
    "loop": lambda: layers.LSTM(5, zoneout=0.1, return_sequences=True),
    "late": lambda: layers.GRU(5, reset_after=False, return_sequences=True),
    "diagonal": lambda: layers.IndRNN(5, return_sequences=True),
    "scan": lambda: layers.SRU(5, return_sequences=True),
    "scan of pairs": lambda: layers.LRU(5, return_sequences=True),
    "window": lambda: layers.QRNN(5, return_sequences=True),
    "normalized": lambda: layers.LSTM(5, layer_norm=True, return_sequences=True),
    "stack": lambda: layers.Stack("lem", 5, depth=2, return_sequences=True),
    "directions": lambda: keras.layers.Bidirectional(
        layers.MinGRU(5, return_sequences=True)
    ),
}


def model_of(layer, masked=False, steps=None):
    inputs = keras.Input((steps, 3))
    inner = keras.layers.Masking()(inputs) if masked else inputs
    return keras.Model(inputs, layer(inner))


def sequences(batch, steps, masked):
    x = np.random.default_rng(steps).normal(size=(batch, steps, 3)).astype("float32")
    if masked:
        x[0, steps // 2 :] = 0
        x[-1, : steps // 2] = 0
    return x


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_trace_serves_any_number_of_steps(kind, masked):
    keras.utils.set_random_seed(0)
    model = model_of(KINDS[kind](), masked)
    x = torch.tensor(sequences(1, 1, False))
    traced = torch.jit.trace(model, x, check_trace=False)
    for batch, steps in ((1, 1), (2, 5), (3, 9)):
        x = torch.tensor(sequences(batch, steps, masked))
        with torch.no_grad():
            np.testing.assert_allclose(traced(x), model(x), rtol=1e-5, atol=1e-6)


def write_onnx(model, path):
    """As Keras does; from 3.16 on it refuses what torch alone still writes."""
    if OPEN_STEPS_IN_KERAS:
        model.export(path, format="onnx", verbose=False)
        return
    with pytest.raises(ValueError, match="Provide a static sequence length"):
        model.export(path, format="onnx", verbose=False)
    x = torch.tensor(sequences(1, 1, masked=True))
    axes = {"x": {0: "batch", 1: "steps"}}
    names = {"input_names": ["x"], "dynamic_axes": axes}
    torch.onnx.export(model.eval(), (x,), path, dynamo=False, **names)


@pytest.mark.parametrize("kind", ["kernel", "loop", "scan", "normalized"])
def test_onnx_files_serve_any_number_of_steps(kind, tmp_path):
    keras.utils.set_random_seed(0)
    model = model_of(KINDS[kind](), masked=True)
    model(sequences(1, 1, masked=True))
    write_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (name,) = (given.name for given in session.get_inputs())
    for batch, steps in ((2, 5), (3, 9)):
        x = sequences(batch, steps, masked=True)
        (found,) = session.run(None, {name: x})
        expected = keras.ops.convert_to_numpy(model(x))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "steps"), [("kernel", None), ("scan", 5)])
def test_exported_programs_serve_any_number_of_steps(kind, steps):
    keras.utils.set_random_seed(0)
    model = model_of(KINDS[kind](), masked=True, steps=steps)
    sizes = {0: torch.export.Dim("batch", min=1)}
    if steps is None:
        sizes[1] = torch.export.Dim("steps", min=1)
    x = torch.tensor(sequences(2, 5, masked=True))
    program = torch.export.export(model.eval(), (x,), dynamic_shapes=((sizes,),))
    operations = {str(node.target) for node in program.graph.nodes}
    assert "scan" in operations
    for batch, count in ((2, 5), (3, steps or 9)):
        x = torch.tensor(sequences(batch, count, masked=True))
        with torch.no_grad():
            found, expected = program.module()(x), model(x)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.RNN(keras.layers.LSTMCell(4), name="mine"),
        lambda: layers.LSTM(4, unroll=True, name="mine"),
        lambda: layers.GatedRecursiveConv(4, name="mine"),
    ],
    ids=["Keras' loop", "unrolled", "levels"],
)
def test_loops_in_python_need_a_fixed_number_of_steps(layer, tmp_path):
    x = torch.tensor(sequences(2, 5, masked=False))
    fixed = model_of(layer(), steps=5)
    traced = torch.jit.trace(fixed, x[:1], check_trace=False)
    with torch.no_grad():
        np.testing.assert_allclose(traced(x), fixed(x), rtol=1e-5, atol=1e-6)
    layer = layer()
    if getattr(layer, "unroll", False):
        # Keras does not call it on an open number.
        layer(x)
        with pytest.raises(ValueError, match="mine: .* Fix the number of steps"):
            torch.jit.trace(layer, x, check_trace=False)
        return
    model = model_of(layer)
    model(x)
    told = "mine: .* Fix the number of steps"
    if isinstance(layer, keras.layers.RNN) and not OPEN_STEPS_IN_KERAS:
        told = "Provide a static sequence length"
    with pytest.raises(ValueError, match=told):
        model.export(tmp_path / "model.onnx", format="onnx", verbose=False)


def test_training_in_segments_is_not_written_down():
    layer = layers.LSTM(4, checkpoint=2, name="mine")
    x = torch.tensor(sequences(2, 5, masked=False))
    layer(x)
    with pytest.raises(ValueError, match="mine: .* Fix the number of steps"):
        torch.jit.trace(lambda x: layer(x, training=True), x, check_trace=False)


def test_masks_drawn_at_inference_are_inputs_of_the_loop():
    """They are made outside of it, and a step that holds them reads no constants."""
    keras.utils.set_random_seed(0)
    layer = layers.SimpleRNN(4, recurrent_dropout=0.5, monte_carlo=True)
    x = torch.tensor(sequences(1, 3, masked=False))
    layer(x)
    traced = torch.jit.trace(layer, x, check_trace=False)
    assert traced(torch.tensor(sequences(3, 7, False))).shape == (3, 4)


def test_graphs_hold_no_backward_pass():
    model = model_of(layers.GRU(4, zoneout=0.1), steps=5)
    traced = torch.jit.trace(model, torch.zeros(1, 5, 3), check_trace=False)
    assert "PythonOp" not in str(traced.inlined_graph)
    assert keras_rnnx.engine.plan(model.layers[1], training=False).engine == "fused"
