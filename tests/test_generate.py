"""Texts that language models write."""

import keras
import numpy as np
import pytest
from kinds import randomized
from tensors import numpy

from keras_rnnx import models
from keras_rnnx.models._decoding.generate import probabilities

WORDS = 7


def model(**kwargs):
    return randomized(
        models.language_model(WORDS, units=5, depth=2, cell="gru", **kwargs)
    )


def test_the_most_likely_tokens_are_those_of_the_whole_model():
    """Prompts of any lengths, beside each other and alone."""
    made = model(masked=False)
    prompts = [[1, 0, 3, 2], [4], [5, 6]]
    found = models.generate(made, prompts, 3, temperature=0)
    for prompt, written in zip(prompts, found):
        text = list(prompt)
        for _ in range(3):
            scores = numpy(made(np.array([text])))[0, -1]
            text.append(int(scores.argmax()))
        assert text[len(prompt) :] == written.tolist()
    stream = models.stepper(made)
    alone = models.generate(stream, prompts[2], 3, temperature=0)
    assert alone.tolist() == found[2].tolist()


@pytest.mark.any_backend
def test_draws_are_those_of_the_probabilities():
    made = model()
    scores = numpy(made(np.array([[3, 1]])))[0, -1].astype("float64") / 2.0
    scores[0] = -np.inf  # padding
    expected = np.exp(scores) / np.exp(scores).sum()
    prompts = np.tile([3, 1], (4000, 1))
    found = models.generate(made, prompts, 1, temperature=2.0, seed=0)[:, 0]
    share = np.bincount(found, minlength=WORDS) / 4000
    np.testing.assert_allclose(share, expected, atol=0.03)
    few = models.generate(made, prompts, 1, top_k=2, seed=0)[:, 0]
    assert set(few) == set(np.argsort(scores)[-2:])


@pytest.mark.any_backend
def test_what_is_drawn_from():
    logits = np.log([0.1, 0.4, 0.3, 0.2])
    np.testing.assert_allclose(probabilities(logits, 1.0, None, None), np.exp(logits))
    sharp = probabilities(logits, 0.5, None, None)
    np.testing.assert_allclose(sharp, np.exp(logits) ** 2 / 0.3)
    some = probabilities(logits, 1.0, 2, None)
    np.testing.assert_allclose(some, [0, 4 / 7, 3 / 7, 0])
    for share, kept in ((0.3, 1), (0.4 - 1e-9, 1), (0.5, 2), (0.75, 3), (1.0, 4)):
        assert np.count_nonzero(probabilities(logits, 1.0, None, share)) == kept
    both = probabilities(logits, 1.0, 3, 0.75)
    np.testing.assert_allclose(both, [0, 4 / 7, 3 / 7, 0])


@pytest.mark.any_backend
def test_a_seed_gives_a_text_whatever_is_beside_it():
    made = model()
    texts = [
        models.generate(made, prompt, 12, seed=seed)
        for prompt, seed in (([[1, 2], [3]], 5), ([1, 2], 5), ([1, 2], 6))
    ]
    assert texts[0][0].tolist() == texts[1].tolist() != texts[2].tolist()
    assert texts[0].dtype == "int32" and texts[1].shape == (12,)


@pytest.mark.any_backend
def test_other_models_that_run_step_by_step_write_as_well():
    words = models.zaremba("small", WORDS, 3, units=4)
    assert models.generate(words, [[1, 2]], 4, temperature=0).shape == (1, 4)
    for kwargs in ({"softmax": "adaptive", "cutoffs": [3]}, {"tied": True}):
        other = model(masked=False, **kwargs)
        text = models.generate(other, [1], 3, temperature=0)
        scores = numpy(other(np.array([[1, *text[:2]]])))[0]
        assert scores.argmax(-1).tolist() == text.tolist()


@pytest.mark.any_backend
def test_what_does_not_fit_is_refused():
    made = model()
    for kwargs, message in (
        ({"temperature": -1}, "`temperature` must not be negative"),
        ({"top_k": 0}, "`top_k` must be an integer of at least 1"),
        ({"top_p": 0}, "`top_p` must be in"),
        ({"prompt": [[1], []]}, "row 1 of `prompt`"),
        ({"prompt": [[0.5]]}, "dtype float64"),
        ({"prompt": []}, "`prompt`"),
        ({"steps": 0}, "`steps` must be"),
    ):
        with pytest.raises(ValueError, match=message):
            models.generate(made, **{"prompt": [1], "steps": 2, **kwargs})
    with pytest.raises(ValueError, match="batch_size=2"):
        models.generate(models.stepper(made), [[1], [2]], 2)
    seen = keras.Sequential([keras.Input((None,)), keras.layers.Embedding(3, 3)])
    with pytest.raises(ValueError, match="no recurrent layers"):
        models.generate(seen, [1], 2)
