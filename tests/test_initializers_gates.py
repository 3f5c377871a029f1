"""Initializers of matrices, and of each gate apart: what each gate of a cell gets."""

import keras
import numpy as np
import pytest
from initialized import FEATURES, UNITS, blocks, built
from tensors import numpy

from keras_rnnx import initializers


def test_star_draws_its_blocks_apart():
    found = blocks(built("star", units=FEATURES), "kernel")
    for block in found.values():
        np.testing.assert_allclose(block @ block.T, np.eye(FEATURES), atol=1e-5)
    assert not np.allclose(found["k"], found["z"])


def test_fast_rnn_starts_as_its_authors_have_it():
    cell = built("fast_rnn", units=200)
    assert abs(numpy(cell.kernel).std() - 0.1) < 0.02
    assert abs(numpy(cell.recurrent_kernel).std() - 0.1) < 0.002
    assert np.all(numpy(cell.bias) == 1)


def test_identity_in_every_gate():
    cell = built("gru", recurrent_initializer=initializers.IdentityRecurrent(0.3))
    for block in blocks(cell, "recurrent_kernel").values():
        np.testing.assert_allclose(block, 0.3 * np.eye(UNITS), rtol=1e-6)


def test_per_gate_gives_each_gate_its_own():
    values = {"i": 1.0, "f": 2.0, "c": 3.0, "o": 4.0}
    constants = {g: keras.initializers.Constant(v) for g, v in values.items()}
    per_gate = initializers.PerGate(constants)
    cell = built(
        "lstm",
        kernel_initializer=per_gate,
        recurrent_initializer=per_gate,
        bias_initializer=per_gate,
    )
    for weight in ("kernel", "recurrent_kernel", "bias"):
        for gate, block in blocks(cell, weight).items():
            assert set(block.flat) == {values[gate]}, (weight, gate)


def test_per_gate_default_and_both_rows_of_a_bias():
    per_gate = initializers.PerGate({"r": "ones", "default": "zeros"})
    bias = blocks(built("gru", bias_initializer=per_gate), "bias")
    expected = {"z": 0, "r": 1, "h": 0}
    for gate, block in bias.items():
        np.testing.assert_array_equal(block, np.full((2, UNITS), expected[gate]))


def test_per_gate_orthogonal_is_orthogonal_in_each_gate_unlike_keras():
    def errors(cell):
        found = blocks(cell, "recurrent_kernel").values()
        return [np.max(np.abs(b.T @ b - np.eye(UNITS))) for b in found]

    assert min(errors(built("lstm"))) > 0.1
    per_gate = initializers.PerGate("orthogonal")
    assert max(errors(built("lstm", recurrent_initializer=per_gate))) < 1e-5


def test_per_gate_glorot_counts_one_gate():
    per_gate = initializers.PerGate(keras.initializers.GlorotUniform(seed=1))
    kernel = np.abs(numpy(built("lstm", 100, kernel_initializer=per_gate).kernel))
    limit = np.sqrt(6 / (FEATURES + 100))
    assert 0.98 * limit < kernel.max() <= limit


@pytest.mark.parametrize("seed", [None, 5, "generator"])
@pytest.mark.parametrize("dictionary", [False, True])
def test_no_two_gates_get_the_same_draw(seed, dictionary):
    def make():
        given = keras.random.SeedGenerator(5) if seed == "generator" else seed
        normal = keras.initializers.RandomNormal(seed=given)
        return initializers.PerGate({"default": normal} if dictionary else normal)

    found = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        cell = built("lstm", recurrent_initializer=make())
        found.append(blocks(cell, "recurrent_kernel"))
    values = list(found[0].values())
    for k, block in enumerate(values):
        for other in values[:k]:
            assert abs(np.corrcoef(block.ravel(), other.ravel())[0, 1]) < 0.7
    for gate, block in found[0].items():
        np.testing.assert_array_equal(block, found[1][gate])


def test_the_first_gate_has_the_seed_that_was_given():
    normal = keras.initializers.RandomNormal(seed=5)
    cell = built("gru", recurrent_initializer=initializers.PerGate(normal))
    expected = numpy(normal((UNITS, UNITS)))
    np.testing.assert_array_equal(blocks(cell, "recurrent_kernel")["z"], expected)


def test_per_gate_in_a_layer_of_keras():
    layer = keras.layers.GRU(
        UNITS, recurrent_initializer=initializers.PerGate("orthogonal")
    )
    layer.build((None, 5, FEATURES))
    for block in np.split(numpy(layer.cell.recurrent_kernel), 3, axis=1):
        np.testing.assert_allclose(block.T @ block, np.eye(UNITS), atol=1e-5)


@pytest.mark.parametrize("density", [1.0, 0.5, 0.01])
@pytest.mark.parametrize("initializer", [None, "random_uniform"])
def test_spectral_radius(initializer, density):
    made = initializers.SpectralRadius(0.7, initializer, density=density, seed=2)
    cell = built("gru", 20, recurrent_initializer=made)
    found = blocks(cell, "recurrent_kernel")
    for block in found.values():
        radius = np.max(np.abs(np.linalg.eigvals(block.astype("float64"))))
        np.testing.assert_allclose(radius, 0.7, rtol=2e-3)
        connections = np.count_nonzero(block, axis=0)
        assert set(connections) == {max(1, round(density * 20))}
    assert not np.allclose(found["z"], found["r"])


def test_antisymmetric():
    made = initializers.Antisymmetric(scale=2.0, gamma=0.3, seed=2)
    found = blocks(built("gru", 60, recurrent_initializer=made), "recurrent_kernel")
    for block in found.values():
        np.testing.assert_allclose(block + block.T, -0.6 * np.eye(60), atol=1e-6)
        # V - Vᵀ has twice the variance of V, which is scale ** 2 / n.
        above = block[np.triu_indices(60, 1)]
        np.testing.assert_allclose(above.std(), 2 * np.sqrt(2 / 60), rtol=0.1)
        np.testing.assert_allclose(np.linalg.eigvals(block).real, -0.3, atol=1e-4)
    assert not np.allclose(found["z"], found["r"])
