"""Metrics against NumPy, in batches of any length, behind masks, and in `fit`."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnx import layers, metrics

CLASSES, LABELS = 5, 4


def drawn(lengths, rng):
    """Probabilities and targets of several batches, with the mask of each."""
    for steps in lengths:
        scores = rng.normal(size=(3, steps, CLASSES)).astype("float32")
        mask = np.arange(steps) < rng.integers(1, steps + 1, size=(3, 1))
        yield scores, rng.integers(0, CLASSES, size=(3, steps)), mask


def masked(values, mask):
    """A tensor that carries a mask, as a layer's outputs do; NaN stands behind it."""
    values = np.where(np.expand_dims(mask, -1), values, np.nan).astype("float32")
    tensor = ops.convert_to_tensor(values)
    tensor._keras_mask = ops.convert_to_tensor(mask)
    return tensor


def softmax(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("from_logits", [False, True])
def test_every_token_weighs_the_same_in_batches_of_any_length(from_logits):
    rng = np.random.default_rng(0)
    perplexity = metrics.Perplexity(from_logits=from_logits)
    bits = metrics.BitsPerCharacter(from_logits=from_logits)
    accuracy = metrics.TokenAccuracy()
    nats, right = [], []
    for scores, y, mask in drawn((3, 20, 7), rng):
        given = masked(scores if from_logits else softmax(scores), mask)
        y_behind = np.where(mask, y, 99)
        for metric in (perplexity, bits, accuracy):
            metric.update_state(y_behind, given)
        chosen = np.take_along_axis(softmax(scores), y[..., None], -1)[..., 0]
        nats.extend(-np.log(chosen[mask]))
        right.extend((scores.argmax(-1) == y)[mask])
    np.testing.assert_allclose(perplexity.result(), np.exp(np.mean(nats)), rtol=1e-5)
    np.testing.assert_allclose(bits.result(), np.mean(nats) / np.log(2), rtol=1e-5)
    np.testing.assert_allclose(accuracy.result(), np.mean(right), rtol=1e-6)


def test_ignored_classes_and_weights_are_left_out():
    rng = np.random.default_rng(1)
    metric = metrics.Perplexity(ignore_class=-1)
    scores, y, _ = next(drawn((6,), rng))
    y[0, :2] = -1
    weights = rng.uniform(size=y.shape).astype("float32")
    weights[1] = 0
    metric.update_state(y, softmax(scores), sample_weight=weights)
    weights = np.where(y < 0, 0, weights)
    chosen = np.take_along_axis(softmax(scores), np.maximum(y, 0)[..., None], -1)
    mean = np.average(-np.log(chosen[..., 0]), weights=weights)
    np.testing.assert_allclose(metric.result(), np.exp(mean), rtol=1e-5)
    whole = float(metric.result())
    metric.reset_state()
    metric.update_state(y, softmax(scores), sample_weight=weights[..., None])
    np.testing.assert_allclose(metric.result(), whole, rtol=1e-6)
    metric.reset_state()
    metric.update_state(y[..., None], softmax(scores), sample_weight=[1.0, 0.0, 0.0])
    mean = -np.log(chosen[0, 2:, 0]).mean()
    np.testing.assert_allclose(metric.result(), np.exp(mean), rtol=1e-5)


def test_frames_of_several_labels():
    rng = np.random.default_rng(2)
    nll, accuracy = metrics.FrameNLL(from_logits=True), metrics.FrameAccuracy(0.0)
    nats, hits, on = [], 0, 0
    for steps in (4, 9):
        x = rng.normal(size=(2, steps, LABELS)).astype("float32")
        y = rng.integers(0, 2, size=x.shape)
        mask = np.arange(steps) < [[2], [steps]]
        for metric in (nll, accuracy):
            metric.update_state(y.astype("float32"), masked(x, mask))
        p = 1 / (1 + np.exp(-x.astype("float64")))
        each = -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(-1)
        nats.extend(each[mask])
        hits += ((y == 1) & (x >= 0))[mask].sum()
        on += ((y == 1) | (x >= 0))[mask].sum()
    np.testing.assert_allclose(nll.result(), np.mean(nats), rtol=1e-5)
    np.testing.assert_allclose(accuracy.result(), hits / on, rtol=1e-6)


def test_forecasts():
    rng = np.random.default_rng(3)
    series = rng.normal(size=(40, 2)).cumsum(0)
    scale = metrics.seasonal_naive_error(series, season=4)
    np.testing.assert_allclose(scale, np.abs(series[4:] - series[:-4]).mean(0))
    y, f = rng.normal(size=(2, 3, 6, 2))
    mase = metrics.MeanAbsoluteScaledError(scale)
    smape = metrics.SymmetricMeanAbsolutePercentageError()
    for metric in (mase, smape):
        metric.update_state(y, f)
    np.testing.assert_allclose(mase.result(), np.mean(np.abs(y - f) / scale), rtol=1e-5)
    expected = np.mean(200 * np.abs(y - f) / (np.abs(y) + np.abs(f)))
    np.testing.assert_allclose(smape.result(), expected, rtol=1e-5)


def distance(a, b):
    """Of two lists, by the recursion over their ends."""
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(row[-1] + 1, last[j] + 1, last[j - 1] + (x != y)))
        last = row
    return last[-1]


def until(row, padding):
    row = list(row)
    return row[: row.index(padding)] if padding in row else row


@pytest.mark.parametrize("padding", [0, -1])
def test_distances_are_those_of_the_recursion(padding):
    rng = np.random.default_rng(4)
    for n, m in ((6, 9), (7, 3), (1, 5)):
        a = rng.integers(-1, 4, size=(40, n))
        b = rng.integers(-1, 4, size=(40, m))
        expected = [
            distance(until(x, padding), until(y, padding)) for x, y in zip(a, b)
        ]
        result = ops.convert_to_numpy(metrics.edit_distance(a, b, padding))
        np.testing.assert_array_equal(result, expected)


def test_error_rates_sum_over_sequences_first():
    tokens, sequences = metrics.TokenErrorRate(), metrics.SequenceErrorRate()
    for a, b in (([[1, 2, 3]], [[1, 2, 3]]), ([[1, 2], [4, 0]], [[2, 0], [4, 0]])):
        for metric in (tokens, sequences):
            metric.update_state(np.array(a), np.array(b))
    np.testing.assert_allclose(tokens.result(), 1 / 6, rtol=1e-6)
    np.testing.assert_allclose(sequences.result(), 1 / 3, rtol=1e-6)


def test_scores_of_ctc_are_collapsed_up_to_the_mask():
    best = np.array([[1, 1, 0, 1, 2, 2], [3, 0, 3, 3, 1, 1]])
    mask = np.arange(6) < [[6], [4]]
    metric = metrics.TokenErrorRate(decode="ctc")
    metric.update_state(
        np.array([[1, 1, 2], [3, 3, 0]]), masked(np.eye(4)[best] * 9, mask)
    )
    assert float(metric.result()) == 0
    metric.update_state(np.array([[1, 2, 0]]), np.eye(4, dtype="float32")[best[:1]])
    np.testing.assert_allclose(metric.result(), 1 / 7, rtol=1e-6)


def test_in_fit_a_mask_reaches_them_and_files_keep_them(tmp_path):
    rng = np.random.default_rng(5)
    x = rng.integers(1, 9, size=(4, 6))
    x[0, 2:] = x[2, 5:] = 0
    y = rng.integers(0, CLASSES, size=x.shape)
    model = keras.Sequential(
        [
            keras.layers.Embedding(9, 3, mask_zero=True),
            layers.GRU(4, return_sequences=True),
            keras.layers.Dense(CLASSES),
        ]
    )
    model.compile(
        "sgd",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[metrics.Perplexity(from_logits=True), metrics.TokenAccuracy()],
    )
    model.fit(x, y, batch_size=3, epochs=1, verbose=0)
    path = tmp_path / "model.keras"
    model.save(path)
    measured = keras.models.load_model(path).evaluate(
        x, y, batch_size=3, verbose=0, return_dict=True
    )
    p = softmax(model.predict(x, verbose=0))
    chosen = np.take_along_axis(p, y[..., None], -1)[..., 0]
    expected = np.exp(-np.log(chosen[x != 0]).mean())
    np.testing.assert_allclose(measured["perplexity"], expected, rtol=1e-5)
    right = (p.argmax(-1) == y)[x != 0]
    np.testing.assert_allclose(measured["token_accuracy"], right.mean(), rtol=1e-6)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.Perplexity()([[1]], np.ones((2, 1, 3))), "targets of shape"),
        (lambda: metrics.Perplexity()([1], np.ones((1, 2, 3))), "targets of shape"),
        (lambda: metrics.FrameNLL()(np.ones((1, 2, 3)), np.ones((1, 2, 4))), "shape"),
        (lambda: metrics.FrameAccuracy("half"), "threshold"),
        (
            lambda: metrics.TokenAccuracy()(
                [[1]], np.ones((1, 1, 2)), np.ones((1, 1, 2))
            ),
            "at most 2 axes",
        ),
        (lambda: metrics.TokenErrorRate()([[1]], [[1]], [[1.0]]), "each sequence"),
        (lambda: metrics.TokenErrorRate(decode="beam"), "decode"),
        (lambda: metrics.TokenErrorRate("ctc")([[1]], [[1]]), "scores of shape"),
        (lambda: metrics.edit_distance([1], [[1]]), r"\(batch, length\)"),
        (lambda: metrics.MeanAbsoluteScaledError(0.0), "positive"),
        (lambda: metrics.seasonal_naive_error([1, 1, 1]), "equals itself"),
        (lambda: metrics.seasonal_naive_error([1, 2], season=2), "more steps"),
    ],
)
def test_what_does_not_fit_says_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()
