"""Recurrent batch normalization: the paper's equations, gradients, moving averages."""

import keras
import numpy as np
import pytest
from keras import ops
from tensors import numpy, randomize

from keras_rnnx import cells, engine, explain, layers
from keras_rnnx.testing.gradients import gradients

UNITS, FEATURES, BATCH, STEPS = 4, 3, 6, 5
EPSILON, MOMENTUM = 1e-5, 0.9
LENGTHS = np.array([5, 2, 4, 0, 3, 5])
MASK = np.arange(STEPS) < LENGTHS[:, None]


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")


def made(name, dtype="float32", **arguments):
    arguments = {"batch_norm": True, "batch_norm_momentum": MOMENTUM, **arguments}
    cell = cells.get(name, UNITS, dtype=dtype, **arguments)
    layer = layers.RNN(cell, return_sequences=True, dtype=dtype)
    layer.build((BATCH, STEPS, FEATURES))
    randomize(layer, seed=1, scale=0.7)
    return layer


class Straight:
    """The paper's loop in plain operations, for NumPy's arrays or a backend's.

    Args:
        w: weights by name.
        moments: None: of the batch, which are noted; or those of a step by scope.
        mask: valid samples `(batch, time)`.
    """

    def __init__(self, w, moments=None, mask=None):
        self.w, self.moments, self.mask = w, moments, mask
        self.noted = {"inputs": [], "recurrent": [], "state": []}

    def bn(self, a, scope, t):
        if self.moments is None:
            valid = np.ones(BATCH, bool) if self.mask is None else self.mask[:, t]
            share = (valid / max(valid.sum(), 1))[:, None]
            share = ops.convert_to_tensor(share, a.dtype)
            mean = ops.sum(a * share, axis=0)
            variance = ops.sum((a - mean) ** 2 * share, axis=0)
            self.noted[scope].append((mean, variance))
        else:
            rows = [m[min(t, len(m) - 1)] for m in self.moments[scope]]
            mean, variance = map(ops.convert_to_tensor, rows)
        return (a - mean) / (variance + EPSILON) ** 0.5

    def outputs(self, name, x):
        width = UNITS // 2 if name == "lstmp" else UNITS
        h, c = (ops.zeros((BATCH, n), x.dtype) for n in (width, UNITS))
        found = []
        for t in range(x.shape[1]):
            new_h, new_c = getattr(self, name)(x[:, t], h, c, t)
            if self.mask is not None:
                valid = ops.convert_to_tensor(self.mask[:, t, None])
                new_h, new_c = ops.where(valid, new_h, h), ops.where(valid, new_c, c)
            h, c = new_h, new_c
            found.append(h)
        return ops.stack(found, axis=1)

    def parts(self, x, h, t):
        wx = self.bn(x @ self.w["kernel"], "inputs", t) * self.w["kernel_scale"]
        uh = self.bn(h @ self.w["recurrent_kernel"], "recurrent", t)
        return wx, uh * self.w["recurrent_scale"]

    def lstm(self, x, h, c, t):
        wx, uh = self.parts(x, h, t)
        i, f, g, o = ops.split(wx + uh + self.w["bias"], 4, axis=-1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        shown = self.bn(c, "state", t) * self.w["state_scale"] + self.w["state_offset"]
        return ops.sigmoid(o) * ops.tanh(shown), c

    def lstmp(self, x, h, c, t):
        m, c = self.lstm(x, h, c, t)
        return m @ self.w["projection_kernel"], c

    def gru(self, x, h, c, t):
        wx, uh = self.parts(x, h, t)
        b, b_r = self.w["bias"][0], self.w["bias"][1]
        (xz, xr, xh), (uz, ur, uu) = (
            ops.split(part, 3, axis=-1) for part in (wx + b, uh + b_r)
        )
        z, r = ops.sigmoid(xz + uz), ops.sigmoid(xr + ur)
        return z * h + (1 - z) * ops.tanh(xh + r * uu), c

    def multiplicative_lstm(self, x, h, c, t):
        # Each gate's moments are its own, so that those of a late one come apart.
        w, n = self.w, UNITS
        wx = self.bn(x @ w["kernel"], "inputs", t) * w["kernel_scale"]

        def uh(v, k):
            part = slice(k * n, (k + 1) * n)
            made = self.bn(v @ w["recurrent_kernel"][:, part], "recurrent", t)
            return made * w["recurrent_scale"][part]

        m = wx[:, :n] * uh(h, 0)
        i, f, g, o = (
            wx[:, k * n : (k + 1) * n] + uh(m, k) + w["bias"][(k - 1) * n : k * n]
            for k in range(1, 5)
        )
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        shown = self.bn(c, "state", t) * w["state_scale"] + w["state_offset"]
        return ops.sigmoid(o) * ops.tanh(shown), c

    def simple_rnn(self, x, h, c, t):
        wx, uh = self.parts(x, h, t)
        return ops.tanh(wx + uh + self.w["bias"]), c


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "mask"])
@pytest.mark.parametrize(
    "name", ["lstm", "gru", "simple_rnn", "lstmp", "multiplicative_lstm"]
)
def test_training_and_its_gradients_are_those_of_the_papers_loop(name, mask, x):
    dtype, atol = "float64", 1e-10
    if keras.backend.backend() == "jax":  # has no float64 here
        # A product of normalized parts, of few samples, makes those of rounding large.
        dtype, atol = "float32", 1e-5
        if name == "multiplicative_lstm":
            atol = 5e-4
    layer, x = made(name, dtype), x.astype(dtype)
    variables = layer.trainable_variables
    mask_given = None if mask is None else ops.convert_to_tensor(mask)

    def ours(x):
        return [layer(x, mask=mask_given, training=True)]

    def straight(x):
        w = {v.name: ops.convert_to_tensor(v) for v in variables}
        return [Straight(w, mask=mask).outputs(name, x)]

    width = layer.cell.output_size
    cotangent = [np.random.default_rng(2).normal(size=(BATCH, STEPS, width))]
    if mask is not None:
        # Before the first valid step of a row there is nothing to compare.
        cotangent[0] *= (LENGTHS > 0)[:, None, None]
    (expected,), of_loop = gradients(straight, [x], variables, cotangent)
    (found,), of_ours = gradients(ours, [x], variables, cotangent)
    rows = LENGTHS > 0 if mask is not None else slice(None)
    np.testing.assert_allclose(found[rows], expected[rows], atol=1e-5)
    for a, b in zip(of_ours, of_loop):
        scale = max(1.0, np.abs(b).max())
        np.testing.assert_allclose(a / scale, b / scale, atol=atol)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_moving_averages_follow_each_step_and_serve_at_inference(name, x):
    layer = made(name)
    w = {v.name: ops.stop_gradient(v) for v in layer.trainable_variables}
    straight = Straight(w)
    straight.outputs(name, ops.convert_to_tensor(x))
    layer(x, training=True)
    moments = {}
    for scope in layer.cell.normalization.scopes:
        moments[scope] = []
        for k, (which, start) in enumerate((("mean", 0.0), ("variance", 1.0))):
            expected = np.stack([numpy(both[k]) for both in straight.noted[scope]])
            expected = MOMENTUM * start + (1 - MOMENTUM) * expected
            found = numpy(getattr(layer.cell, f"moving_{which}_{scope}"))
            np.testing.assert_allclose(found, expected, atol=1e-5)
            moments[scope].append(found)
    # Two steps more than have averages: the last one's serve.
    longer = np.concatenate([x, x[:, :2]], axis=1)
    fixed = Straight(w, moments).outputs(name, ops.convert_to_tensor(longer))
    np.testing.assert_allclose(numpy(layer(longer)), numpy(fixed), atol=1e-5)
    np.testing.assert_allclose(numpy(layer(x)), numpy(fixed)[:, :STEPS], atol=1e-5)


@pytest.mark.parametrize("backwards", [False, True])
def test_steps_without_a_valid_sample_keep_their_averages(backwards, x):
    layer = made("lstm", batch_norm_steps=4)
    layer.go_backwards = backwards
    for _ in range(2):
        layer(x, training=True)
    names = [v.name for v in layer.cell.non_trainable_variables if "moving" in v.name]
    assert len(names) == 6
    before = {name: numpy(getattr(layer.cell, name)) for name in names}
    lengths = np.array([3, 1, 2, 0, 1, 2])
    mask = np.arange(STEPS) < lengths[:, None]
    layer(x, mask=ops.convert_to_tensor(mask), training=True)
    valid = mask.any(axis=0)[:: -1 if backwards else 1][:4]
    for name in names:
        moved = np.any(numpy(getattr(layer.cell, name)) != before[name], axis=-1)
        assert not np.any(moved & ~valid)
        if "variance" in name:
            # That of a single sample is 0, which moves them too.
            np.testing.assert_array_equal(moved, valid)


@pytest.mark.any_backend
def test_it_starts_at_a_tenth_trains_and_is_saved(x, tmp_path):
    layer = layers.LSTM(UNITS, batch_norm=True, batch_norm_momentum=0.5)
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
    model.compile("adam", "mse")
    for name in ("kernel_scale", "recurrent_scale", "state_scale"):
        np.testing.assert_allclose(numpy(getattr(layer.cell, name)), 0.1)
    target = np.ones((BATCH, UNITS), "float32")
    first = numpy(layer.cell.moving_variance_inputs)
    model.fit(x, target, epochs=3, batch_size=BATCH, verbose=0)
    assert not np.allclose(numpy(layer.cell.moving_variance_inputs), first)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6
    )


def test_half_precision_rounds_the_outputs_alone(x):
    x = np.round(8 * x) / 8  # The same in both.
    full, half = made("lstm"), made("lstm", dtype="mixed_bfloat16")
    found, expected = (
        numpy(ops.cast(la(x, training=True), "float32")) for la in (half, full)
    )
    np.testing.assert_allclose(found, expected, atol=2.0**-9)
    found, expected = (numpy(la.cell.moving_mean_recurrent) for la in (half, full))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_backwards_moments_are_counted_as_steps_are_taken(x):
    there, back = made("gru"), made("gru")
    back.go_backwards = True
    there(x[:, ::-1].copy(), training=True)
    back(x, training=True)
    there_, back_ = (numpy(la.cell.moving_mean_recurrent) for la in (there, back))
    np.testing.assert_allclose(there_, back_, atol=1e-6)
    np.testing.assert_allclose(
        numpy(back(x)), numpy(there(x[:, ::-1].copy())), atol=1e-6
    )


def test_what_cannot_be_had_is_explained(x):
    with pytest.raises(ValueError, match="Pass one of them"):
        layers.LSTM(3, batch_norm=True, layer_norm=True)
    with pytest.raises(ValueError, match="pass batch_norm_steps"):
        layers.LSTM(3, batch_norm=True).build((None, None, 3))
    layers.LSTM(3, batch_norm=True, batch_norm_steps=10).build((None, None, 3))
    with pytest.raises(ValueError, match="does not know its number"):
        keras.layers.RNN(cells.LSTMCell(3, batch_norm=True, batch_norm_steps=4))(x)
    with pytest.raises(ValueError, match="checkpoint=2 computes steps twice"):
        layers.LSTM(3, batch_norm=True, checkpoint=2)(x, training=True)
    layer = layers.LSTM(3, batch_norm=True)
    assert engine.plan(layer).engine == "fused"
    assert "moments for every step" in engine.refusal(layer, "step")
    (row,) = explain(keras.Sequential([layer]))
    assert row.engine == "fused"
    if keras.backend.backend() == "torch" and not ops.zeros(()).is_cuda:
        assert "batch_norm=True normalizes inside" in row.reason
