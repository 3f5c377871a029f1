"""The gated recursive convolution: it is its paper's pyramid, row by row."""

import doctest

import keras
import numpy as np
import pytest
from tensors import arrays, numpy, randomize

import keras_rnnx
from keras_rnnx import testing
from keras_rnnx.layers import GatedRecursiveConv, gated_recursive_conv

BATCH, TIME, FEATURES, UNITS = 4, 6, 3, 5
BACKEND = keras.backend.backend()
DOUBLE = {"tensorflow": 1e-10, "torch": 1e-10, "jax": 1e-5}[BACKEND]

MASKS = {
    "right-padded": [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]],
    "left-padded": [[0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 1]],
    "any": [[1, 0, 1, 1, 0, 1], [0, 1, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0]],
}
MASKS = {k: np.array([*rows, [0] * TIME], bool) for k, rows in MASKS.items()}


def sentence(x, weights, activation=np.tanh):
    """The vector of one sequence and its gates, position by position."""
    W, G = weights["recurrent_kernel"], weights["gate_kernel"]
    W_left, W_right = W[:, :UNITS], W[:, UNITS:]
    G_left, G_right = G[:, :3], G[:, 3:]
    b, b_gate = weights.get("bias", 0), weights.get("gate_bias", 0)
    gates = np.zeros((TIME - 1, TIME - 1, 3))
    if not len(x):
        return np.zeros(UNITS), gates
    below = [x_j @ weights["kernel"] for x_j in x]
    for t in range(len(x) - 1):
        above = []
        for j, (left, right) in enumerate(zip(below, below[1:])):
            logits = left @ G_left + right @ G_right + b_gate
            w_new, w_left, w_right = np.exp(logits) / np.exp(logits).sum()
            new = activation(left @ W_left + right @ W_right + b)
            above.append(w_new * new + w_left * left + w_right * right)
            gates[t, j] = w_new, w_left, w_right
        below = above
    return below[0], gates


def expected(x, weights, mask=None, **kwargs):
    mask = np.ones(x.shape[:2], bool) if mask is None else mask
    rows = [sentence(row[kept], weights, **kwargs) for row, kept in zip(x, mask)]
    return [np.stack(part) for part in zip(*rows)]


def built(seed=0, **kwargs):
    """A layer with distinct random weights."""
    layer = GatedRecursiveConv(UNITS, **kwargs)
    layer.build((None, None, FEATURES))
    randomize(layer, seed)
    weights = {v.name: numpy(v) for v in layer.weights}
    return layer, weights


def inputs(dtype="float32", seed=1):
    return (
        np.random.default_rng(seed).normal(size=(BATCH, TIME, FEATURES)).astype(dtype)
    )


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("mask", [None, *MASKS])
def test_is_the_pyramid_of_the_valid_steps(mask, use_bias):
    layer, weights = built(use_bias=use_bias, return_gates=True)
    assert len(weights) == 3 + 2 * use_bias
    x, mask = inputs(), MASKS.get(mask)
    if mask is not None:
        # What stands in masked steps is not read.
        x = np.where(mask[..., None], x, np.nan)
    for ours, theirs in zip(arrays(layer(x, mask=mask)), expected(x, weights, mask)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    layer.return_gates = False
    alone = numpy(layer(x, mask=mask))
    np.testing.assert_allclose(
        alone, expected(x, weights, mask)[0], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("time", [1, 2])
def test_few_steps(time):
    layer, weights = built(return_gates=True)
    x = inputs()[:, :time]
    vector, gates = arrays(layer(x))
    np.testing.assert_allclose(vector, expected(x, weights)[0], rtol=1e-5, atol=1e-5)
    assert gates.shape == (BATCH, time - 1, time - 1, 3)


def test_activation():
    layer, weights = built(activation="relu")
    found = numpy(layer(inputs()))
    theirs, _ = expected(inputs(), weights, activation=lambda a: np.maximum(a, 0))
    np.testing.assert_allclose(found, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mask", [None, "any"])
def test_gradient_is_that_of_finite_differences(mask):
    layer, weights = built(dtype="float64", return_gates=True)
    x, mask = inputs("float64"), MASKS.get(mask)
    rng = np.random.default_rng(2)
    shapes = [(BATCH, UNITS), (BATCH, TIME - 1, TIME - 1, 3)]
    cotangents = [rng.normal(size=shape) for shape in shapes]

    def value(x, weights):
        pairs = zip(expected(x, weights, mask), cotangents)
        return sum(np.sum(output * cotangent) for output, cotangent in pairs)

    _, found = testing.gradients(
        lambda x: list(layer(x, mask=mask)), [x], layer.trainable_variables, cotangents
    )
    names = [v.name for v in layer.trainable_variables]
    points = [x, *(weights[name] for name in names)]
    tolerance = 1e-6 if DOUBLE < 1e-9 else 1e-3
    # Along a random direction for each tensor: every entry takes part.
    for k, gradient in enumerate(found):
        direction = rng.normal(size=points[k].shape)
        ends = []
        for step in (1e-5, -1e-5):
            moved = list(points)
            moved[k] = points[k] + step * direction
            ends.append(value(moved[0], dict(zip(names, moved[1:]))))
        slope = (ends[0] - ends[1]) / 2e-5
        assert abs(np.sum(gradient * direction) - slope) <= tolerance * max(
            1, abs(slope)
        )


def test_gradient_of_masked_steps_is_zero_and_finite():
    layer, _ = built()
    mask = MASKS["any"]
    x = np.where(mask[..., None], inputs(), np.inf)
    cotangent = [np.ones((BATCH, UNITS), "float32")]
    _, found = testing.gradients(
        lambda x: [layer(x, mask=mask)], [x], layer.trainable_variables, cotangent
    )
    assert all(np.isfinite(gradient).all() for gradient in found)
    assert (found[0][~mask] == 0).all() and (found[0][mask] != 0).all()


def test_rows_do_not_see_each_other():
    layer, _ = built()
    x, mask = inputs(), MASKS["any"]
    order = np.array([2, 0, 3, 1])
    found = numpy(layer(x, mask=mask))[order]
    np.testing.assert_allclose(numpy(layer(x[order], mask=mask[order])), found, 1e-6)


def test_the_order_of_the_steps_matters():
    layer, _ = built()
    forward, backward = numpy(layer(inputs())), numpy(layer(inputs()[:, ::-1]))
    assert np.abs(forward - backward).max() > 0.1


@pytest.mark.parametrize("time", [None, TIME])
def test_trains_with_masks_in_a_model_and_loads(time, tmp_path):
    """With a known or unknown number of steps, compiled wherever that can be."""
    layer, weights = built(return_gates=True, gate_regularizer=keras.regularizers.L2(1))
    steps = keras.Input((time, FEATURES))
    vector, gates = layer(keras.layers.Masking()(steps))
    above = time and time - 1
    assert vector.shape == (None, UNITS) and gates.shape == (None, above, above, 3)
    model = keras.Model(steps, [vector, gates])
    x = np.where(MASKS["right-padded"][..., None], inputs(), 0)
    before = model.predict(x, verbose=0)
    for ours, theirs in zip(before, expected(x, weights, MASKS["right-padded"])):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(loaded.predict(x, verbose=0), before):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    model.compile("sgd", ["mse", None], jit_compile=BACKEND != "torch")
    model.fit(x, np.ones((BATCH, UNITS)), epochs=1, verbose=0)
    for variable in layer.trainable_variables:
        assert np.abs(numpy(variable) - weights[variable.name]).max() > 1e-6
    if time is None:
        assert model.predict(x[:, :1], verbose=0)[1].shape == (BATCH, 0, 0, 3)


def test_mixed_precision():
    layer, weights = built(dtype="mixed_bfloat16", return_gates=True)
    assert {v.dtype for v in layer.weights} == {"float32"}
    vector, gates = layer(inputs(), mask=MASKS["any"])
    for output, theirs in zip(
        [vector, gates], expected(inputs(), weights, MASKS["any"])
    ):
        assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
        found = numpy(keras.ops.cast(output, "float32"))
        np.testing.assert_allclose(found, theirs, atol=0.1)


def test_config_keeps_every_argument():
    layer = GatedRecursiveConv(
        UNITS,
        activation="relu",
        use_bias=False,
        return_gates=True,
        gate_initializer="zeros",
        recurrent_regularizer=keras.regularizers.L1(0.5),
        kernel_constraint="non_neg",
        name="pyramid",
    )
    config = layer.get_config()
    again = GatedRecursiveConv.from_config(config)
    assert again.get_config() == config
    assert again.activation is keras.activations.relu
    assert isinstance(again.gate_initializer, keras.initializers.Zeros)
    assert again.recurrent_regularizer.l1 == 0.5


def test_constraints_and_regularizers_have_their_weights():
    kinds = {"kernel": 1, "recurrent": 2, "gate": 3, "bias": 4}
    given = {f"{k}_regularizer": keras.regularizers.L2(n) for k, n in kinds.items()}
    layer, weights = built(**given)
    numbers = {
        **{"kernel": 1, "recurrent_kernel": 2, "gate_kernel": 3},
        **{"bias": 4, "gate_bias": 4},
    }
    total = sum(n * np.sum(weights[name] ** 2) for name, n in numbers.items())
    assert float(numpy(sum(layer.losses))) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GatedRecursiveConv(0), "`units`, expected a positive integer, got 0"),
        (lambda: GatedRecursiveConv(3, use_bias="no"), "`use_bias`, expected True or"),
        (lambda: GatedRecursiveConv(3, return_gates=2), "`return_gates`"),
        (lambda: GatedRecursiveConv(3)(np.ones((2, 3))), r"received shape \(2, 3\)"),
        (lambda: GatedRecursiveConv(3)(np.ones((2, 0, 3))), r"one step or more"),
        (lambda: built()[0](np.ones((2, 0, 3))), r"one step or more"),
        (
            lambda: GatedRecursiveConv(3)(np.ones((2, 4, 3)), mask=np.ones((2, 3))),
            r"mask must have shape \(batch, time\) = \(2, 4\), received shape \(2, 3\)",
        ),
    ],
)
def test_wrong_arguments_are_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_examples():
    names = {"keras_rnnx": keras_rnnx, "np": np}
    failed, tried = doctest.testmod(gated_recursive_conv, extraglobs=names)
    assert tried and not failed
