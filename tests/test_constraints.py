"""Constraints: against NumPy, and in compiled training."""

import json

import keras
import numpy as np
import pytest
from tensors import numpy

import keras_rnnx
from keras_rnnx import cells, constraints, engine, layers

ROWS, STEPS, FEATURES, UNITS = 4, 6, 3, 5


def kernel(gates, n=UNITS, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return (scale * rng.normal(size=(n, gates * n))).astype("float32")


def split(matrix):
    return np.split(matrix, matrix.shape[1] // matrix.shape[0], axis=1)


def polar(matrix):
    u, _, v = np.linalg.svd(matrix.astype("float64"))
    return u @ v


def radius(matrix):
    return np.max(np.abs(np.linalg.eigvals(matrix.astype("float64"))))


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("n", [1, 5, 64])
def test_orthogonal_is_the_polar_factor_of_each_gate(n, scale):
    u = kernel(3, n, scale=scale)
    found = numpy(constraints.Orthogonal()(u))
    for block, original in zip(split(found), split(u), strict=True):
        np.testing.assert_allclose(block, polar(original), atol=2e-4)
        np.testing.assert_allclose(block.T @ block, np.eye(n), atol=5e-6)


@pytest.mark.parametrize("condition", [1e2, 1e4, 1e6])
def test_orthogonal_of_an_ill_conditioned_matrix(condition):
    rng = np.random.default_rng(1)
    u, v = (polar(rng.normal(size=(8, 8))) for _ in "uv")
    matrix = (u * np.geomspace(1, 1 / condition, 8)) @ v
    found = numpy(constraints.Orthogonal()(matrix.astype("float32")))
    np.testing.assert_allclose(found.T @ found, np.eye(8), atol=1e-5)
    # What float32 leaves of the smallest direction decides about it.
    np.testing.assert_allclose(found, u @ v, atol=1e-6 * condition + 1e-5)


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_orthogonal_of_a_singular_matrix_is_a_nearest_one(rank):
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(5, rank)) @ rng.normal(size=(rank, 5))
    shift = np.diag(np.ones(4), 1)  # nilpotent: its null spaces are apart
    for singular in (matrix, shift, np.diag([1.0, 2.0, 0.0, 0.0, -1.0])):
        found = numpy(constraints.Orthogonal()(singular.astype("float32")))
        np.testing.assert_allclose(found.T @ found, np.eye(5), atol=1e-5)
        # The nearest ones are those with the largest inner product, the nuclear norm.
        nuclear = np.sum(np.linalg.svd(singular)[1])
        np.testing.assert_allclose(np.sum(found * singular), nuclear, rtol=1e-3)


@pytest.mark.parametrize("distance", [1e-4, 1e-2, 0.2, 0.25, 0.3])
def test_orthogonal_near_an_orthogonal_matrix(distance):
    """On both sides of where the iteration starts without scaling."""
    u = np.concatenate([polar(b) for b in split(kernel(3))], axis=1)
    noise = kernel(3, seed=1)
    noise = np.concatenate([b / np.linalg.norm(b) for b in split(noise)], axis=1)
    near = (u + distance * noise).astype("float32")
    found = numpy(constraints.Orthogonal()(near))
    for block, original in zip(split(found), split(near), strict=True):
        np.testing.assert_allclose(block, polar(original), atol=2e-6)


def test_orthogonal_matrices_stay():
    u = np.concatenate([polar(b) for b in split(kernel(4))], axis=1)
    found = numpy(constraints.Orthogonal()(u.astype("float32")))
    np.testing.assert_allclose(found, u, atol=1e-6)


MATRICES = {
    "random": kernel(1, 40),
    "complex pair": np.array([[0, -2.0], [2.0, 0]], "float32"),
    "two pairs of one size": np.kron(np.diag([1.0, -1.0]), [[0.6, -0.8], [0.8, 0.6]]),
    "Jordan block": 1.1 * np.eye(6) + np.diag(np.ones(5), 1),
    "opposite signs": np.diag([3.0, -3.0, 1.0]),
    "large": kernel(1, 8, scale=1e15),
    "small": kernel(1, 8, scale=1e-15),
}


@pytest.mark.parametrize("name", MATRICES)
def test_spectral_radius_is_scaled_down_to_the_bound(name):
    matrix = MATRICES[name].astype("float32")
    bound = 0.4 * radius(matrix)
    found = numpy(constraints.SpectralRadius(bound)(matrix))
    # Within, and hardly more than it has to be. The block of Jordan converges slowest.
    tolerance = 1e-2 if name == "Jordan block" else 2e-3
    assert (1 - tolerance) * bound < radius(found) < (1 + 1e-5) * bound
    np.testing.assert_allclose(found, matrix * 0.4, rtol=2 * tolerance)
    again = numpy(constraints.SpectralRadius(bound)(found))
    np.testing.assert_allclose(again, found, rtol=1e-4)


def test_spectral_radius_leaves_what_is_within_and_scales_each_gate():
    u = kernel(3)
    u[:, UNITS : 2 * UNITS] *= 0.01
    found = split(numpy(constraints.SpectralRadius(0.8)(u)))
    for k, (block, original) in enumerate(zip(found, split(u), strict=True)):
        if k == 1:
            np.testing.assert_array_equal(block, original)
        else:
            expected = original * 0.8 / radius(original)
            np.testing.assert_allclose(block, expected, rtol=2e-3)


@pytest.mark.parametrize("matrix", [np.zeros((4, 4)), np.diag(np.full(3, 1e4), 1)])
def test_spectral_radius_of_nilpotent_matrices_is_zero(matrix):
    matrix = matrix.astype("float32")
    found = numpy(constraints.SpectralRadius(0.5)(matrix))
    np.testing.assert_array_equal(found, matrix)


@pytest.mark.parametrize("shape", [(6,), (4, 6)])
def test_unit_range(shape):
    u = (3 * np.random.default_rng(0).normal(size=shape)).astype("float32")
    found = numpy(constraints.UnitRange(10)(u))
    np.testing.assert_allclose(found, np.clip(u, -(2**0.1), 2**0.1), rtol=1e-6)


def test_a_unit_range_takes_the_length_of_the_sequences():
    layer = layers.IndRNN(UNITS, recurrent_constraint=constraints.UnitRange())
    layer.build((None, 8, FEATURES))
    found = layer.cell.recurrent_kernel.constraint(np.full((UNITS,), 3.0, "float32"))
    np.testing.assert_allclose(numpy(found), 2**0.125, rtol=1e-6)
    assert layer.recurrent_constraint.steps is None


@pytest.mark.parametrize("weight", ["kernel", "recurrent", "bias"])
def test_per_gate(weight):
    given = {
        "i": "non_neg",
        "f": constraints.UnitRange(1),
        "default": keras.constraints.MaxNorm(0.5),
        "o": None,
    }
    given = constraints.PerGate(given)
    cell = cells.LSTMCell(UNITS, **{f"{weight}_constraint": given})
    cell.build((None, FEATURES))
    names = {"kernel": "kernel", "recurrent": "recurrent_kernel", "bias": "bias"}
    variable = getattr(cell, names[weight])
    value = 3 * np.random.default_rng(0).normal(size=variable.shape)
    i, f, c, o = np.split(value, 4, axis=-1)
    norm = np.sqrt(np.sum(c**2, axis=0))
    expected = np.concatenate(
        [i * (i >= 0), np.clip(f, -2, 2), c * np.minimum(1, 0.5 / norm), o], axis=-1
    )
    found = numpy(variable.constraint(value.astype("float32")))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_per_gate_in_a_layer_of_keras():
    found = numpy(constraints.PerGate(constraints.SpectralRadius(0.5))(kernel(3)))
    assert all(radius(block) < 0.5 * (1 + 1e-5) for block in split(found))


KEPT = {
    "orthogonal": (
        constraints.Orthogonal(),
        lambda b: np.max(np.abs(b.T @ b - np.eye(UNITS))) < 1e-5,
    ),
    "spectral_radius": (
        constraints.SpectralRadius(0.3),
        lambda b: 0.25 < radius(b) < 0.3 * (1 + 1e-5),
    ),
    "unit_range": (
        constraints.UnitRange(20),
        lambda b: np.max(np.abs(b)) <= 2**0.05 * (1 + 1e-6),
    ),
    "per_gate": (
        constraints.PerGate(constraints.Orthogonal()),
        lambda b: np.max(np.abs(b.T @ b - np.eye(UNITS))) < 1e-5,
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_they_hold_in_training_as_keras_compiles_it(name, tmp_path):
    constraint, holds = KEPT[name]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, STEPS, FEATURES)).astype("float32")
    layer = layers.GRU(
        UNITS,
        recurrent_initializer=keras.initializers.RandomNormal(stddev=2.0, seed=1),
        recurrent_constraint=constraint,
    )
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    before = numpy(layer.cell.recurrent_kernel).copy()
    assert not all(map(holds, split(before)))
    y = rng.uniform(-1, 1, size=(ROWS, UNITS))
    losses = model.fit(x, y, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    blocks = split(numpy(layer.cell.recurrent_kernel))
    assert len(blocks) == 3 and all(map(holds, blocks))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0].recurrent_constraint) is type(constraint)
    np.testing.assert_allclose(numpy(loaded(x)), numpy(model(x)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"], ids="{}".format)
@pytest.mark.parametrize("name", ["orthogonal", "spectral_radius", "per_gate"])
def test_other_precisions(name, dtype):
    if dtype == "float64" and keras.backend.backend() == "jax":
        dtype = "float32"  # as JAX has it
    constraint = KEPT[name][0]
    u = keras.ops.convert_to_tensor(kernel(2, scale=3.0), dtype)
    found = constraint(u)
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    single = numpy(constraint(keras.ops.cast(u, "float32")))
    found = numpy(keras.ops.cast(found, "float32"))
    np.testing.assert_allclose(found, single, atol=1e-2 if "16" in dtype else 1e-5)


ALL = [
    constraints.Orthogonal(),
    constraints.SpectralRadius(0.5),
    constraints.UnitRange(7),
    constraints.UnitRange(),
    constraints.PerGate({"f": "non_neg", "c": None, "default": "unit_norm"}),
]


@pytest.mark.parametrize("made", ALL, ids=lambda made: type(made).__name__)
def test_configs_are_complete(made):
    written = json.loads(json.dumps(keras.constraints.serialize(made)))
    read = keras.constraints.get(written)
    assert type(read) is type(made)
    assert read.get_config() == made.get_config()


def test_constraints_leave_the_engine_as_it_is():
    constrained = layers.LSTM(
        UNITS,
        recurrent_constraint=constraints.Orthogonal(),
        kernel_constraint=constraints.PerGate({"f": "non_neg"}),
    )
    assert engine.plan(layers.LSTM(UNITS)) == engine.plan(constrained)


def gru(**kwargs):
    layers.GRU(UNITS, **kwargs).build((None, STEPS, FEATURES))


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: gru(kernel_constraint=constraints.Orthogonal()),
            "Orthogonal is for recurrent kernels.*the kernel of GRUCell",
        ),
        (
            lambda: gru(bias_constraint=constraints.SpectralRadius()),
            "SpectralRadius is for recurrent kernels.*the bias of GRUCell",
        ),
        (lambda: constraints.Orthogonal()(np.ones((3, 4))), r"received shape \(3, 4\)"),
        (
            lambda: constraints.SpectralRadius(0),
            "`radius` must be positive, received 0",
        ),
        (lambda: constraints.SpectralRadius("a"), "`radius`.*'a'"),
        (lambda: constraints.UnitRange(0), "`steps` must be .* received 0"),
        (lambda: constraints.UnitRange()(np.ones(3)), "length of the sequences"),
        (
            lambda: layers.IndRNN(
                3, recurrent_constraint=constraints.UnitRange()
            ).build((None, None, 2)),
            "without a known length",
        ),
        (
            lambda: gru(bias_constraint=constraints.PerGate({"f": "non_neg"})),
            "received the gate 'f', but GRUCell has the gates z, r, h",
        ),
        (lambda: constraints.PerGate({"f": "non_neg"})(kernel(3)), "gates by name"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_all_are_exported():
    assert set(constraints.__all__) == {type(each).__name__ for each in ALL}
    assert keras_rnnx.constraints is constraints
