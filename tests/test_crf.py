"""Linear chains against the enumeration of all their paths."""

import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops
from tensors import numpy

import keras_rnnx
from keras_rnnx import layers, losses, metrics, models
from keras_rnnx.datasets import PaddedBatches

CLASSES, STEPS = 3, 4
MASKS = {
    "none": None,
    "end": [1, 1, 1, 0],
    "start": [0, 1, 1, 1],
    "middle": [1, 0, 1, 1],
    "one": [0, 0, 1, 0],
    "all": [0, 0, 0, 0],
}


def chain():
    layer, rng = layers.CRF(), np.random.default_rng(3)
    layer.build((None, STEPS, CLASSES))
    for variable in layer.weights:
        variable.assign(rng.normal(size=variable.shape))
    return layer, rng.normal(size=(2, STEPS, CLASSES)).astype("float32")


def paths(layer, unary):
    """Of one sequence without masked steps, each path and its score."""
    transitions, start, end = (numpy(w).astype("float64") for w in layer.weights)
    found = {}
    for path in itertools.product(range(CLASSES), repeat=len(unary)):
        score = sum(u[k] for u, k in zip(unary, path))
        if path:
            score += start[path[0]] + end[path[-1]]
        score += sum(transitions[a, b] for a, b in itertools.pairwise(path))
        found[path] = score
    return found


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.cases(2)
def test_likelihood_and_best_path_are_those_of_enumeration(mask):
    layer, unary = chain()
    valid = np.ones(STEPS, "bool") if MASKS[mask] is None else np.bool_(MASKS[mask])
    given = (
        None if MASKS[mask] is None else ops.convert_to_tensor(np.array([valid, valid]))
    )
    scores = layer(ops.convert_to_tensor(unary), mask=given)
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, (2, STEPS))
    y[:, ~valid] = 99  # not read
    found = numpy(losses.CRF(reduction=None)(y, scores))
    best = numpy(models.viterbi(scores))
    for row in range(2):
        every = paths(layer, unary[row][valid])
        total = np.log(sum(np.exp(score) for score in every.values()))
        expected = total - every[tuple(y[row][valid])]
        np.testing.assert_allclose(found[row], expected, rtol=1e-5, atol=1e-5)
        assert tuple(best[row][valid]) == max(every, key=every.get)
    assert (best[:, ~valid] == -1).all()


def test_gradients_are_probabilities_less_what_is_true():
    """Of a score by its class: the marginal, by enumeration, less the target."""
    layer, unary = chain()
    y = np.array([[0, 2, 1, 1], [1, 1, 0, 2]])
    mask = np.array([[1, 1, 0, 1], [1, 1, 1, 1]], "bool")
    # Scores are the weights of a layer, to take gradients on every backend by `fit`.
    held = keras.layers.Dense(STEPS * CLASSES, use_bias=False)
    x = keras.Input((2,))
    shaped = keras.layers.Reshape((STEPS, CLASSES))(held(x))
    masked = keras.Input((STEPS,), dtype="bool")
    model = keras.Model([x, masked], layer(shaped, mask=masked))
    held.set_weights([unary.reshape(2, -1)])
    layer.trainable = False
    model.compile(keras.optimizers.SGD(1.0), losses.CRF(reduction="sum"))
    model.train_on_batch([np.eye(2, dtype="float32"), mask], y)
    found = (unary.reshape(2, -1) - held.get_weights()[0]).reshape(unary.shape)
    for row in range(2):
        valid = mask[row]
        every = paths(layer, unary[row][valid])
        weights = np.exp(np.array(list(every.values())))
        each = np.eye(CLASSES)[np.array(list(every))]
        marginal = np.einsum("p,ptc->tc", weights / weights.sum(), each)
        expected = np.zeros((STEPS, CLASSES))
        expected[valid] = marginal - np.eye(CLASSES)[y[row][valid]]
        np.testing.assert_allclose(found[row], expected, atol=2e-5)


def test_a_class_out_of_range_is_seen():
    layer, unary = chain()
    y = np.array([[0, 1, 2, CLASSES], [0, 0, 0, 0]])
    found = numpy(losses.CRF(reduction=None)(y, layer(unary)))
    assert np.isnan(found[0]) and np.isfinite(found[1])


def test_accuracy_counts_valid_steps_and_weights():
    layer, unary = chain()
    mask = np.array([[1, 1, 0, 1], [1, 0, 0, 0]], "bool")
    scores = layer(ops.convert_to_tensor(unary), mask=ops.convert_to_tensor(mask))
    best = numpy(models.viterbi(scores))
    y = np.where(mask, best, 7)
    y[0, 1] = (y[0, 1] + 1) % CLASSES
    metric = metrics.CRFAccuracy()
    metric.update_state(y, scores)
    assert float(metric.result()) == pytest.approx(3 / 4)
    metric.reset_state()
    metric.update_state(y, scores, np.array([1.0, 3.0]))
    assert float(metric.result()) == pytest.approx(5 / 6)


@pytest.mark.any_backend
def test_a_tagger_with_a_chain_learns_what_follows_what(tmp_path):
    """No step says its class: only the first is told, and that they alternate."""
    rng = np.random.default_rng(0)
    y = (rng.integers(0, 2, (64, 1)) + np.arange(6)) % 2
    x = np.ones((64, 6), "int32")
    x[:, 0] = 2 + y[:, 0]
    x[::3, 4:] = 0
    model = models.tagger(2, vocabulary=4, units=2, cell="simple_rnn", head="crf")
    metric = metrics.CRFAccuracy()
    model.compile(keras.optimizers.Adam(0.1), losses.CRF(), metrics=[metric])
    model.fit(x, np.where(x == 0, -1, y), epochs=12, batch_size=32, verbose=0)
    found = model.evaluate(x, np.where(x == 0, -1, y), verbose=0, return_dict=True)
    assert found["crf_accuracy"] == 1.0 and found["loss"] < 0.5
    model.save(tmp_path / "tagger.keras")
    again = keras.saving.load_model(tmp_path / "tagger.keras")
    assert isinstance(again.loss, keras_rnnx.losses.CRF)
    again = again.evaluate(x, np.where(x == 0, -1, y), verbose=0, return_dict=True)
    assert again["loss"] == pytest.approx(found["loss"], rel=1e-5)
    # With an open number of steps, as batches of many lengths have it.
    order = np.argsort(np.sum(x != 0, axis=1), kind="stable")
    ragged = ([array[n][x[n] != 0] for n in order] for array in (x, y))
    batches = PaddedBatches(*ragged, batch_size=22, shuffle=False)
    assert [len(batch[0][0]) for batch in batches] == [4, 6, 6]
    history = model.fit(batches, verbose=0).history
    assert history["crf_accuracy"] == [1.0] and history["loss"][0] < 0.5


@pytest.mark.any_backend
def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="two classes or more"):
        layers.CRF()(np.ones((2, 3, 1)))
    with pytest.raises(ValueError, match=r"received shape \(2, 3, 4\)"):
        models.viterbi(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=r"targets of shape \(2, 3, 4\)"):
        losses.CRF()(np.ones((2, 3, 4)), np.ones((2, 3, 4, 4)))
    with pytest.raises(ValueError, match="'softmax' or 'crf'"):
        models.tagger(3, features=2, head="viterbi")


@pytest.mark.any_backend
def test_a_compiled_model_is_loaded_where_the_package_alone_is_imported(tmp_path):
    model = models.tagger(3, features=2, units=3, head="crf")
    model.compile("adam", losses.CRF(), metrics=[metrics.CRFAccuracy()])
    model.save(tmp_path / "tagger.keras")
    program = (
        "import sys, keras, keras_rnnx\n"
        "print(type(keras.saving.load_model(sys.argv[1]).loss))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "tagger.keras"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "keras_rnnx.losses" in run.stdout
