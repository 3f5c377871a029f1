"""What holds for the model of each kind of sequence task."""

import keras
import kinds
import numpy as np
import pytest

from keras_rnnx import layers, models

KINDS = pytest.mark.parametrize("kind", kinds.KINDS)


def made(kind):
    """A model with random weights, and inputs of three sequences."""
    make, inputs, by_step = kinds.KINDS[kind]
    return kinds.randomized(make()), inputs(np.random.default_rng(1), 3), by_step


@KINDS
@pytest.mark.cases(4)
def test_a_sequence_has_the_same_answer_in_a_padded_batch(kind):
    model, x, by_step = made(kind)
    alone = kinds.numpy(model(x))
    assert np.std(alone, axis=0).min() > 1e-4, "sequences differ, and so do answers"
    found = kinds.numpy(model(kinds.padded(x)))
    if by_step:
        found = found[:, : kinds.STEPS]
    np.testing.assert_allclose(found, alone, atol=1e-5)
    assert alone.dtype == "float32"


@KINDS
@pytest.mark.cases(4)
def test_a_saved_model_answers_the_same(kind, tmp_path):
    model, x, _ = made(kind)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(kinds.numpy(again(x)), kinds.numpy(model(x)))


def test_a_classifier_is_layers_in_a_row():
    model = kinds.randomized(models.classifier(4, features=3, units=5))
    x = kinds.numbers(np.random.default_rng(0), 2)
    layer, head = keras.layers.LSTM(5), keras.layers.Dense(4, activation="softmax")
    layer.build(x.shape)
    layer.set_weights(model.get_layer("stack").get_weights())
    head.build((None, 5))
    head.set_weights(model.get_layer("probabilities").get_weights())
    expected = kinds.numpy(head(layer(x)))
    np.testing.assert_allclose(kinds.numpy(model(x)), expected, atol=1e-5)


@pytest.mark.any_backend
def test_pooling_reads_valid_steps_alone():
    x = np.random.default_rng(0).normal(size=(3, 5, 2)).astype("float32") - 5
    mask = np.array([[1, 0, 1, 1, 0], [1] * 5, [0] * 5], "bool")
    for mode, over in (("mean", np.mean), ("max", np.max)):
        found = kinds.numpy(layers.PoolSteps(mode)(x, mask=mask))
        expected = [over(x[0][mask[0]], 0), over(x[1], 0), np.zeros(2)]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        whole = kinds.numpy(layers.PoolSteps(mode)(x))
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
