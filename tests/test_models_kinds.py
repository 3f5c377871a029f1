"""What holds for the model of each kind of sequence task."""

import keras
import kinds
import numpy as np
import pytest
from tensors import numpy

from keras_rnnx import layers, losses, models

KINDS = pytest.mark.parametrize("kind", kinds.KINDS)


def made(kind):
    """A model with random weights, and inputs of three sequences."""
    make, inputs, by_step = kinds.KINDS[kind]
    return kinds.randomized(make()), inputs(np.random.default_rng(1), 3), by_step


@KINDS
@pytest.mark.cases(3)
def test_a_sequence_has_the_same_answer_in_a_padded_batch(kind):
    model, x, by_step = made(kind)
    alone = numpy(model(x))
    assert np.std(alone, axis=0).min() > 1e-4, "sequences differ, and so do answers"
    found = numpy(model(kinds.padded(x)))
    if by_step:
        found = found[:, : kinds.STEPS]
    np.testing.assert_allclose(found, alone, atol=1e-5)
    assert alone.dtype == "float32"


@KINDS
def test_a_saved_model_answers_the_same(kind, tmp_path):
    model, x, _ = made(kind)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(again(x)), numpy(model(x)))


@KINDS
def test_every_kind_trains_on_padded_batches(kind):
    """The loss of a batch falls; what stands in padded targets does not matter."""
    model, x, by_step = made(kind)
    rng, steps = np.random.default_rng(2), kinds.STEPS
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss, y = {
        "classifier": ("sparse_categorical_crossentropy", rng.integers(0, 4, 3)),
        "regressor": ("mse", rng.normal(size=(3, 2))),
        "tagger": (
            losses.CRF() if "crf" in kind else "sparse_categorical_crossentropy",
            rng.integers(0, 4, (3, steps)),
        ),
        "next step": ("binary_crossentropy", rng.integers(0, 2, (3, steps, 4))),
        "language model": (logits, rng.integers(1, kinds.TOKENS, (3, steps))),
        "forecaster": ("mse", rng.normal(size=model(x).shape)),
        "ctc labeller": (keras.losses.CTC(), np.array([[1, 3], [4, 0], [2, 1]])),
        "encoder-decoder": (logits, rng.integers(1, kinds.TOKENS, (3, steps))),
    }[kind.split(",")[0]]
    if by_step and kind != "ctc labeller":
        behind = np.ones((3, kinds.PADDED - steps, *y.shape[2:]), y.dtype)
        y = np.concatenate([y, behind], axis=1)
    model.compile(keras.optimizers.Adam(0.01), loss)
    history = model.fit(kinds.padded(x), y, epochs=6, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < history[0]


@pytest.mark.any_backend
@KINDS
def test_outputs_are_of_float32_under_mixed_precision(kind):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model, x, _ = made(kind)
        found = model(x)
    finally:
        keras.config.set_dtype_policy(before)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert np.isfinite(numpy(found)).all()


@pytest.mark.any_backend
def test_models_of_the_next_step_run_step_by_step():
    for kind in ("next step", "language model", "tagger"):
        model, x, _ = made(kind)
        x = kinds.padded(x)
        stream, found = models.stepper(model, batch_size=3), []
        states = stream.init()
        for t in range(kinds.PADDED):
            y, states = stream.step(x[:, t], states)
            found.append(numpy(y))
        whole = numpy(model(x))
        np.testing.assert_allclose(np.stack(found, 1), whole, atol=1e-5)


def test_a_classifier_is_layers_in_a_row():
    model = kinds.randomized(models.classifier(4, features=3, units=5))
    x = kinds.numbers(np.random.default_rng(0), 2)
    layer, head = keras.layers.LSTM(5), keras.layers.Dense(4, activation="softmax")
    layer.build(x.shape)
    layer.set_weights(model.get_layer("stack").get_weights())
    head.build((None, 5))
    head.set_weights(model.get_layer("probabilities").get_weights())
    expected = numpy(head(layer(x)))
    np.testing.assert_allclose(numpy(model(x)), expected, atol=1e-5)


@pytest.mark.any_backend
def test_pooling_reads_valid_steps_alone():
    x = np.random.default_rng(0).normal(size=(3, 5, 2)).astype("float32") - 5
    mask = np.array([[1, 0, 1, 1, 0], [1] * 5, [0] * 5], "bool")
    for mode, over in (("mean", np.mean), ("max", np.max)):
        found = numpy(layers.PoolSteps(mode)(x, mask=mask))
        expected = [over(x[0][mask[0]], 0), over(x[1], 0), np.zeros(2)]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        whole = numpy(layers.PoolSteps(mode)(x))
        np.testing.assert_allclose(whole, over(x, 1), rtol=1e-5)


@pytest.mark.any_backend
def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="features=None and vocabulary=None"):
        models.classifier(3)
    with pytest.raises(ValueError, match="features=2 and vocabulary=5"):
        models.regressor(features=2, vocabulary=5)
    with pytest.raises(ValueError, match="embedding=4 with `features`"):
        models.classifier(3, features=2, embedding=4)
    with pytest.raises(ValueError, match="`classes` must be an integer of at least 2"):
        models.classifier(1, features=2)
    with pytest.raises(ValueError, match="`pooling`, expected 'last' or"):
        models.classifier(3, features=2, pooling="first")
    with pytest.raises(ValueError, match="sets return_sequences itself"):
        models.classifier(3, features=2, return_sequences=True)
    with pytest.raises(ValueError, match="sets stateful itself"):
        models.regressor(features=2, stateful=True)
    with pytest.raises(ValueError, match="no argument 'dropuot'"):
        models.regressor(features=2, dropuot=0.1)


def test_an_adaptive_softmax_is_a_softmax_of_clusters():
    layer, rng = layers.AdaptiveSoftmax(9, cutoffs=[3, 5]), np.random.default_rng(0)
    x = rng.normal(size=(4, 8)).astype("float32")
    layer.build(x.shape)
    for variable in layer.weights:
        variable.assign(rng.normal(size=variable.shape))
    head, bias, *rest = (numpy(w).astype("float64") for w in layer.weights)
    assert [w.shape for w in rest] == [(8, 2), (2, 2), (8, 1), (1, 4)]

    def softmax(a):
        e = np.exp(a - a.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    head = softmax(x @ head + bias)
    first, second = softmax(x @ rest[0] @ rest[1]), softmax(x @ rest[2] @ rest[3])
    expected = [head[:, :3], head[:, 3:4] * first, head[:, 4:] * second]
    expected = np.concatenate(expected, 1)
    np.testing.assert_allclose(expected.sum(1), 1)
    np.testing.assert_allclose(np.exp(numpy(layer(x))), expected, rtol=1e-4)


def test_tied_scores_are_products_with_the_vectors_of_tokens():
    model = kinds.randomized(models.language_model(7, units=5, embedding=3, tied=True))
    assert [layer.name for layer in model.layers].count("embedding") == 1
    x = kinds.tokens(np.random.default_rng(0), 2)
    inner = keras.Model(model.input, model.get_layer("projection").output)
    matrix, bias = model.get_layer("embedding").weights
    expected = numpy(inner(x)) @ numpy(matrix).T + numpy(bias)
    np.testing.assert_allclose(numpy(model(x)), expected, atol=1e-5)


def test_a_stateful_language_model_goes_on():
    model = models.language_model(7, units=5, batch_size=2, stateful=True, masked=False)
    kinds.randomized(model)
    x = np.random.default_rng(0).integers(0, 7, (2, 8))
    whole = numpy(model(x))
    models.reset_states(model)
    parts = [numpy(model(x[:, :3])), numpy(model(x[:, 3:]))]
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=1e-5)


@pytest.mark.any_backend
def test_language_models_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="Pass one of them"):
        models.language_model(9, tied=True, softmax="adaptive")
    with pytest.raises(ValueError, match="`cutoffs` are those of"):
        models.language_model(9, cutoffs=[3])
    with pytest.raises(ValueError, match="pass `batch_size`"):
        models.language_model(9, stateful=True)
    with pytest.raises(ValueError, match="which increase"):
        models.language_model(9, softmax="adaptive", cutoffs=[3, 3])
    with pytest.raises(ValueError, match="sets bidirectional itself"):
        models.language_model(9, bidirectional=True)
