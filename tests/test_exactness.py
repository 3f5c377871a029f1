"""Normalized cells: rounding in float32 and in half precision."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnx import cells, engine, explain, layers
from keras_rnnx.cells import Cell, State
from keras_rnnx.testing.conformance import _precision
from keras_rnnx.testing.gradients import gradients

UNITS, FEATURES, STEPS, BATCH = 7, 5, 6, 128
ULP = {"bfloat16": 2.0**-8, "float16": 2.0**-11}


def squash(value):
    return value / (1 + value * value)


class OfOperators(Cell):
    """Since Keras' activations compute float64 in float32 on some backends."""

    states = ("h", "c")
    gates = ("f", "c", "o")
    split = ("f",)

    def update(self, state, gate):
        forget = squash(gate.x.f + gate.u.f) + 0.4
        c = forget * state.c + squash(gate.c)
        return State(h=squash(gate.o) * gate.norm(c), c=c)


def built(cell, seed, scale):
    layer = layers.RNN(
        cell, return_sequences=True, return_state=True, dtype=cell.dtype_policy
    )
    layer.build((BATCH, STEPS, FEATURES))
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        start = 1.0 if variable.name.endswith("_scale") else 0.0
        drawn = start + 0.4 * rng.normal(size=variable.shape)
        drawn *= scale if start else 1
        variable.assign(drawn.astype("float32"))
    return layer


def simple(values):
    """Numbers near to these that are the same in all precisions."""
    return np.round(values * 16).astype("float32") / 16


def results(cell, name, dtype="float32", seed=0, scale=1.0):
    """Outputs, last states and all gradients of one engine, in float64 for NumPy."""
    layer = built(cell, seed, scale)
    rng = np.random.default_rng(seed + 1)
    shapes = [(BATCH, STEPS, FEATURES)] + [(BATCH, UNITS)] * len(cell.states)
    inputs = [simple(rng.normal(size=shape)) for shape in shapes]
    outputs = [(BATCH, STEPS, UNITS)] + [(BATCH, UNITS)] * len(cell.states)
    cotangents = [simple(rng.normal(size=shape)) for shape in outputs]

    def call(x, *states):
        with engine.force(name):
            found = layer(x, initial_state=list(states), training=True)
        return [ops.cast(f, x.dtype) for f in found]

    inputs = [v.astype(dtype) for v in inputs]
    found, slopes = gradients(call, inputs, layer.trainable_variables, cotangents)
    return [np.asarray(v, "float64") for v in (*found, *slopes)]


def float32(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def normalized(name, dtype, **arguments):
    return cells.get(name, UNITS, dtype=dtype, **({"layer_norm": True} | arguments))


def test_the_formulas_are_as_exact_as_autodiff_of_the_steps():
    def cell(dtype):
        return OfOperators(UNITS, layer_norm=True, dtype=dtype)

    # With these scales a step makes errors smaller that were there before it.
    scale = 0.3
    with _precision("float64"):
        exact = results(cell("float64"), "step", "float64", scale=scale)
    errors = {}
    for name in ("step", "fused"):
        found = results(cell("float32"), name, scale=scale)
        errors[name] = [np.abs(f - e) for f, e in zip(found, exact, strict=True)]
    # Outputs, states and gradients of these and of inputs have enough elements to tell
    # a little more rounding from chance. The middle one, since samples differ in how
    # far they carry an error.
    of_samples = 2 * len(cell("float32").states) + 2
    for position in range(of_samples):
        step, fused = (np.median(errors[name][position]) for name in errors)
        assert 0 < fused <= 1.3 * step, (position, fused, step)
    # Gradients of weights have few.
    for error, e in zip(errors["fused"][of_samples:], exact[of_samples:]):
        assert np.max(error) <= 1e-5 * max(1, np.max(np.abs(e)))


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("lstm", {}),
        ("gru", {}),
        ("mgu", {}),
        ("lstm", {"layer_norm": False, "batch_norm": True}),
    ],
    ids=["lstm", "gru", "late gate", "batch_norm"],
)
@pytest.mark.parametrize("half", ULP)
def test_half_precision_rounds_inputs_and_outputs_alone(name, arguments, half):
    for way in ("fused", "step"):
        cell = normalized(name, f"mixed_{half}", **arguments)
        if engine.refusal(layers.RNN(cell), way):
            assert arguments.get("batch_norm") and way == "step"
            continue
        found = results(cell, way)
        full = results(normalized(name, "float32", **arguments), way)
        for position, (a, b) in enumerate(zip(found, full, strict=True)):
            scale = np.max(np.abs(b))
            assert np.max(np.abs(a - b)) <= 2 * ULP[half] * scale, (way, position)
        exact = ops.cast(ops.convert_to_tensor(full[0].astype("float32")), half)
        np.testing.assert_allclose(found[0], float32(exact), rtol=2 * ULP[half])


@pytest.mark.parametrize("dtype", ["float16", "mixed_bfloat16"])
def test_what_goes_in_and_out_is_in_half_precision(dtype):
    # torch has no orthogonal matrices in half precision.
    cell = normalized("lstm", dtype, recurrent_initializer="glorot_uniform")
    half = keras.DTypePolicy(dtype).compute_dtype
    layer = layers.RNN(
        cell, return_sequences=True, return_state=True, stateful=True, dtype=dtype
    )
    x = ops.ones((2, 3, FEATURES), half)
    for way in ("fused", "step"):
        with engine.force(way):
            for result in layer(x):
                assert keras.backend.standardize_dtype(result.dtype) == half
    assert cell.compute_dtype == "float32" and layer.compute_dtype == half
    assert normalized("lstm", dtype, layer_norm=False).compute_dtype == half
    assert cell.get_config()["dtype"] == keras.DTypePolicy(dtype).get_config() or (
        type(cell).from_config(cell.get_config()).dtype_policy.name == dtype
    )
    (row,) = explain(layer)
    assert row.kernel.endswith(", in float32")


def test_cells_of_half_precision_run_in_keras_own_layers():
    inner = [normalized("gru", "mixed_bfloat16") for _ in range(2)]
    x = ops.ones((2, 3, FEATURES), "bfloat16")
    for cell in (inner[0], keras.layers.StackedRNNCells(inner, dtype="mixed_bfloat16")):
        y = keras.layers.RNN(cell, dtype="mixed_bfloat16")(x)
        assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
        assert np.all(np.isfinite(float32(y)))
