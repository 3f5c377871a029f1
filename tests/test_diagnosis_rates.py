"""Outputs that don't know how often each label occurs."""

import keras
import numpy as np
import pytest
from tensors import numpy

import keras_rnnx
from keras_rnnx.initializers import BaseRates

SAMPLES, STEPS, LABELS = 24, 9, 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(SAMPLES, STEPS, 2)).astype("float32")
LENGTHS = RNG.integers(3, STEPS + 1, SAMPLES)
VALID = np.arange(STEPS) < LENGTHS[:, None]
RARE = (RNG.uniform(size=(SAMPLES, STEPS, LABELS)) < 0.05).astype("float32")
CLASSES = RNG.choice(LABELS, p=[0.9, 0.04, 0.03, 0.02, 0.01], size=SAMPLES)


def model_of(activation, bias="zeros", padded=True):
    each = activation == "sigmoid"
    model = keras.Sequential(
        [
            keras.Input((STEPS, 2)),
            *([keras_rnnx.layers.MaskPadding()] if padded else []),
            keras_rnnx.layers.GRU(4, return_sequences=each),
            keras.layers.Dense(LABELS, activation, bias_initializer=bias, name="head"),
        ]
    )
    loss = "binary" if each else "sparse_categorical"
    model.compile("adam", f"{loss}_crossentropy")
    return model


def data_of(activation):
    padded = np.where(VALID[..., None], X, np.nan).astype("float32")
    return padded, RARE if activation == "sigmoid" else CLASSES


def rates_of(activation):
    counted = RARE[VALID] if activation == "sigmoid" else np.eye(LABELS)[CLASSES]
    return (counted.sum(0) + 1) / (len(counted) + (2 if activation == "sigmoid" else 5))


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_they_are_counted_in_targets_and_outputs(activation):
    """Of valid steps alone, and what the means cost, with loops."""
    keras.utils.set_random_seed(1)
    model = model_of(activation)
    x, y = data_of(activation)
    found = keras_rnnx.diagnose(model, x, y, measures=["states"]).rates
    answers = numpy(model(x)).astype("float64")
    if activation == "sigmoid":
        rows = [(answers[n, t], y[n, t]) for n, t in zip(*np.nonzero(VALID))]
    else:
        rows = [(answers[n], np.eye(LABELS)[y[n]]) for n in range(SAMPLES)]
    targets = sum(target for _, target in rows) / len(rows)
    expected = sum(answer for answer, _ in rows) / len(rows)
    loss = cost = 0.0
    for answer, target in rows:
        for p, t in zip(answer, target):
            both = activation == "sigmoid"
            loss -= (np.log(p) if t else both * np.log(1 - p)) / len(rows)
    for t, p in zip(targets, expected):
        cost += t * np.log(t / p) if t else 0.0
        if activation == "sigmoid":
            cost += (1 - t) * np.log((1 - t) / (1 - p))
    assert found.activation == activation
    np.testing.assert_allclose(found.targets, targets, rtol=1e-6)
    np.testing.assert_allclose(found.expected, expected, rtol=1e-5)
    np.testing.assert_allclose([found.cost, found.loss], [cost, loss], rtol=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_it_is_a_finding_until_the_bias_answers_them(activation):
    keras.utils.set_random_seed(1)
    x, y = data_of(activation)
    bias = BaseRates(rates_of(activation), activation)
    for made, there in [("zeros", True), (bias, False)]:
        report = keras_rnnx.diagnose(
            model_of(activation, made), x, y, measures=["states"]
        )
        names = [finding.name for finding in report.findings]
        assert ("base_rates" in names) == there
        if there:
            (finding,) = (f for f in report.findings if f.name == "base_rates")
            # The code makes the layer that the cure makes.
            space = {"np": np, "keras": keras, "keras_rnnx": keras_rnnx, "y": y}
            counted, layer = finding.cure.splitlines()
            exec(counted, space)
            head = eval(layer, space)
            head.build((None, 3))
            known = head.bias_initializer.rates
            if activation == "sigmoid":
                times, more = y.reshape(-1, LABELS).sum(0), 2
            else:
                times, more = np.bincount(y, minlength=LABELS), LABELS
            total = y.size / LABELS if activation == "sigmoid" else y.size
            np.testing.assert_allclose(known, (times + 1) / (total + more))
    again = keras_rnnx.diagnosis.Report.from_dict(report.to_dict())
    np.testing.assert_array_equal(again.rates.targets, report.rates.targets)


@pytest.mark.any_backend
@pytest.mark.parametrize("shape", [(SAMPLES,), (SAMPLES, 1)])
def test_a_single_logistic_unit(shape):
    """With targets in a column, and without one, as Keras takes both."""
    model = keras.Sequential(
        [
            keras.Input((STEPS, 2)),
            keras_rnnx.layers.GRU(4),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy")
    y = (np.arange(SAMPLES) < 1).astype("float32").reshape(shape)
    report = keras_rnnx.diagnose(model, X, y, measures=["states"])
    np.testing.assert_allclose(report.rates.targets, [1 / SAMPLES])
    assert report.rates.loss == pytest.approx(report.loss, rel=1e-4)


def test_the_cure_is_tried(uncompiled):
    """The bias starts at the rates, and all else as it was."""
    keras.utils.set_random_seed(1)
    x, y = np.repeat(X, 4, axis=0), np.repeat(RARE, 4, axis=0)
    model = model_of("sigmoid", padded=False)
    report = keras_rnnx.diagnose(model, x, y, measures=["states"], batch_size=16)
    tried = report.try_cures("4 steps", cures="BaseRates", verbose=False)
    (trial,) = tried.trials[1:]
    assert trial.name == "BaseRates for the outputs" and len(trial.anew) == 1
    assert trial.end < 0.6 * tried.as_it_is.end


@pytest.mark.any_backend
@pytest.mark.parametrize(
    "change", ["regression", "scores", "several", "weights", "soft"]
)
def test_where_it_is_not_measured(change):
    """Values, scores, several outputs, samples that count differently, soft labels."""
    x, y, weights = X, RARE, None
    inputs = keras.Input((STEPS, 2))
    states = keras_rnnx.layers.GRU(4, return_sequences=True)(inputs)
    activation = None if change in ("regression", "scores") else "sigmoid"
    outputs = keras.layers.Dense(LABELS, activation)(states)
    loss = {
        "regression": "mse",
        "scores": keras.losses.BinaryCrossentropy(from_logits=True),
    }.get(change, "binary_crossentropy")
    if change == "several":
        outputs, y, loss = [outputs, outputs], [y, y], [loss, loss]
    if change == "weights":
        weights = np.linspace(0, 1, SAMPLES * STEPS).reshape(SAMPLES, STEPS)
    if change == "soft":
        y = 0.9 * y
    model = keras.Model(inputs, outputs)
    model.compile("adam", loss)
    report = keras_rnnx.diagnose(
        model, x, y, sample_weight=weights, measures=["states"]
    )
    assert report.rates is None
