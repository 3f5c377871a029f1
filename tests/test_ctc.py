"""Labelling without alignment: losses of padded batches, and decoding."""

import itertools

import keras
import numpy as np
import pytest
from kinds import numbers, padded, randomized
from tensors import numpy

from keras_rnnx import metrics, models

LABELS = np.array([[2, 2, 0], [1, 3, 1], [3, 0, 0]])


def log_softmax(x):
    return x - np.logaddexp.reduce(x, axis=-1, keepdims=True)


def said(path):
    """The labels of a path: without repetitions, then without blanks."""
    return tuple(k for k, _ in itertools.groupby(path) if k)


def labellings(scores):
    """Of one sequence, the log-probability of each labelling, by all paths."""
    found = {}
    for path in itertools.product(range(scores.shape[1]), repeat=len(scores)):
        p = scores[np.arange(len(scores)), path].sum()
        found[said(path)] = np.logaddexp(found.get(said(path), -np.inf), p)
    return found


def drawn(batch, steps, classes, seed=0):
    scores = np.random.default_rng(seed).normal(size=(batch, steps, classes + 1))
    return log_softmax(2 * scores)


def test_the_loss_of_a_padded_batch_is_that_of_each_sequence():
    """Values by enumeration; gradients as steps of plain gradient descent."""
    model = randomized(models.ctc_labeller(3, features=3, units=4))
    first = model.get_weights()
    x = numbers(np.random.default_rng(0), 3)
    loss = keras.losses.CTC()
    every = [labellings(row) for row in log_softmax(numpy(model(x)).astype("float64"))]
    labels = [tuple(k for k in row if k) for row in LABELS]
    expected = -np.mean([each[label] for each, label in zip(every, labels)])
    steps = []
    for inputs in (x, padded(x, 11)):
        model.set_weights(first)
        model.compile(keras.optimizers.SGD(1.0), loss)
        found = model.train_on_batch(inputs, LABELS)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        steps.append([a - b for a, b in zip(first, model.get_weights())])
    for alone, behind in zip(*steps):
        assert np.abs(alone).max() > 1e-3
        np.testing.assert_allclose(behind, alone, atol=1e-5)
    found = keras.losses.CTC(reduction="none")(LABELS, model(padded(x, 11)))
    assert numpy(found).shape == (3,)


def test_padding_adds_neither_labels_nor_errors():
    model = randomized(models.ctc_labeller(3, features=3, units=4), scale=2.0)
    model.get_layer("scores").bias.assign(np.zeros(4))
    x = 4 * numbers(np.random.default_rng(0), 6)
    one, _ = models.ctc_decode(model(x))
    for width in (1, 50):
        alone, scores = models.ctc_decode(model(x), width)
        labels, behind = models.ctc_decode(model(padded(x)), width)
        assert [a.tolist() for a in alone] == [b.tolist() for b in labels]
        np.testing.assert_allclose(behind, scores, atol=1e-5)
    metric = metrics.TokenErrorRate(decode="ctc")
    longest = max(map(len, one))
    y = np.stack([np.pad(row, (0, longest - len(row))) for row in one])
    metric.update_state(y, model(padded(x)))
    assert float(metric.result()) == 0.0 and longest > 1


@pytest.mark.any_backend
def test_width_one_is_the_best_path():
    scores = drawn(20, 6, 3)
    labels, found = models.ctc_decode(scores, 1)
    for row, each in enumerate(labels):
        path = scores[row].argmax(1)
        assert tuple(each) == said(path)
        np.testing.assert_allclose(found[row], scores[row].max(1).sum())


@pytest.mark.any_backend
@pytest.mark.parametrize(("steps", "classes"), [(1, 1), (5, 1), (4, 3), (6, 2)])
def test_a_beam_that_holds_all_prefixes_is_exhaustive(steps, classes):
    scores = drawn(8, steps, classes, seed=steps)
    prefixes = sum(classes**k for k in range(steps + 1))
    for width in (prefixes, prefixes + 7):
        labels, found = models.ctc_decode(scores, width)
        for row in range(8):
            every = labellings(scores[row])
            best = max(every, key=every.get)
            assert tuple(labels[row]) == best
            np.testing.assert_allclose(found[row], every[best], rtol=1e-9)


@pytest.mark.any_backend
def test_a_beam_finds_better_labellings_than_the_best_path():
    scores, better = drawn(60, 7, 2), 0
    greedy, _ = models.ctc_decode(scores)
    beam, found = models.ctc_decode(scores, 10)
    alone = [models.ctc_decode(row[None], 10) for row in scores]
    for row in range(60):
        every = labellings(scores[row])
        assert every[tuple(beam[row])] >= every[tuple(greedy[row])] - 1e-9
        better += tuple(beam[row]) != tuple(greedy[row])
        assert found[row] <= every[tuple(beam[row])] + 1e-9
        assert tuple(alone[row][0][0]) == tuple(beam[row])
    assert better > 5


@pytest.mark.any_backend
def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"received shape \(2, 3\)"):
        models.ctc_decode(np.ones((2, 3)))
    with pytest.raises(ValueError, match="`beam_width` must be"):
        models.ctc_decode(np.ones((2, 3, 4)), 0)
    labeller = models.ctc_labeller(3, features=2, units=4, bidirectional=False)
    assert labeller.output_shape == (None, None, 4)
