"""Every layer of the catalogue in each precision, and on padded batches."""

import keras
import numpy as np
import pytest
from every import LENGTHS, MASK, NAMES, close, data, float64, made

from keras_rnnx.testing.conformance import _precision

# Errors of the largest value.
TOLERANCES = {"mixed_bfloat16": 3e-2, "mixed_float16": 5e-3, "float64": 1e-5}


def by_hand(layer, x):
    """One sequence, step by step: no loop, no engine, no mask."""
    states = layer.cell.get_initial_state(1)
    if layer.cell.window > 1:
        states[-1] = np.zeros((1, (layer.cell.window - 1) * x.shape[-1]), x.dtype)
    outputs = []
    for step in x:
        output, states = layer.cell(step[None], states)
        outputs.append(float64(output)[0])
    return np.stack(outputs)


def spared(name):
    """One of the half precisions, in turn, where a precision is a program to compile.

    Keras' backends, and not the cell, tell the two apart.
    """
    if keras.backend.backend() != "jax":
        return None
    return list(TOLERANCES)[NAMES.index(name) % 2]


@pytest.mark.parametrize("name", NAMES)
def test_padding_and_precision(name):
    """A padded sample gives what it gives alone, and each policy what float32 gives."""
    plain = made(name)
    expected = plain(data(), mask=MASK)
    for k, steps in enumerate(LENGTHS):
        alone = by_hand(plain, data()[k, :steps])
        close(expected[k, :steps], alone, what=f"sample {k}")
        # Behind its end the last output stands.
        for behind in expected[k, steps:]:
            close(behind, alone[-1])
    for policy, tolerance in TOLERANCES.items():
        if policy == spared(name):
            continue
        with _precision(policy):
            layer = made(name, dtype=policy, return_state=True)
            layer.set_weights(plain.get_weights())
            outputs, *states = layer(data(), mask=MASK)
        compute = policy.removeprefix("mixed_")
        kept = "float32" if policy.startswith("mixed_") else policy
        assert layer.compute_dtype == layer.cell.compute_dtype == compute
        for value in (outputs, *states):
            assert keras.backend.standardize_dtype(value.dtype) == compute
        for variable in layer.weights:
            assert variable.dtype == layer.variable_dtype == kept, variable.path
        close(outputs, expected, tolerance, policy)
