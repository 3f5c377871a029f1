"""Encoder-decoders, and decoding against the whole model over all targets."""

import itertools

import keras
import numpy as np
import pytest
from kinds import numbers, padded, randomized, tokens
from tensors import numpy

from keras_rnnx import models

WORDS, START, END = 5, 1, 2

MODELS = {
    "plain": {"cell": "lstm", "depth": 2},
    "additive": {"attention": "additive", "cell": "gru", "bidirectional": True},
    "multiplicative": {"attention": "multiplicative", "cell": "qrnn", "window": 2},
    "positive state": {"cell": "slstm", "bidirectional": True, "depth": 2},
    "counts": {"cell": "clockwork_rnn", "bidirectional": True},
    "residual": {
        "attention": "additive",
        "cell": "lem",
        "depth": 2,
        "connection": "residual",
        "bidirectional": True,
        "merge_mode": "sum",
    },
    "feedback": {"cell": "gru", "depth": 2, "gated_feedback": True},
}


def made(name, scale=0.8):
    model = models.encoder_decoder(7, WORDS, units=4, **MODELS[name])
    randomized(model, scale=scale)
    # So that targets end late, and are not the same for all sources.
    model.get_layer("scores").bias.assign([0.0, 0.0, -1.0, 0.0, 0.0])
    return model, tokens(np.random.default_rng(0), 3)


def targets(longest):
    """All targets of at most so many tokens, the end among them, or cut there."""
    others = [k for k in range(WORDS) if k not in (0, START, END)]
    for n in range(longest):
        for target in itertools.product(others, repeat=n):
            yield (*target, END)
    yield from itertools.product(others, repeat=longest)


def log_probabilities(model, source, longest):
    """Of one source, that of each target, by the model as it is trained."""
    every = list(targets(longest))
    inputs = np.zeros((len(every), longest), int)
    for row, target in zip(inputs, every):
        row[: len(target)] = [START, *target[:-1]]
    logits = model([np.repeat(source[None], len(every), 0), inputs])
    scores = numpy(keras.ops.log_softmax(logits)).astype("float64")
    return {
        target: sum(row[k, token] for k, token in enumerate(target))
        for row, target in zip(scores, every)
    }


def without_end(target):
    return [token for token in target if token != END]


@pytest.mark.parametrize("name", MODELS)
def test_width_one_is_greedy(name):
    model, source = made(name)
    found, scores = models.decode(model, source, max_steps=5)
    for row in range(3):
        inputs, score = [START], 0.0
        while inputs[-1] != END and len(inputs) < 6:
            logits = model([source[row : row + 1], np.array([inputs])])[0, -1]
            p = numpy(keras.ops.log_softmax(logits)).copy()
            p[[0, START]] = -np.inf
            inputs.append(int(p.argmax()))
            score += p.max()
        assert without_end(inputs[1:]) == found[row].tolist()
        np.testing.assert_allclose(scores[row], score, rtol=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 1.0, -2.0])
@pytest.mark.parametrize(("longest", "width"), [(2, 10), (3, 15), (3, 40)])
def test_a_beam_that_holds_all_beginnings_is_exhaustive(longest, width, penalty):
    model, source = made("additive", scale=2.0)
    found, scores = models.decode(model, source, width, longest, penalty)
    for row in range(3):
        every = log_probabilities(model, source[row], longest)
        ranked = {t: p / ((5 + len(t)) / 6) ** penalty for t, p in every.items()}
        best = max(ranked, key=ranked.get)
        assert without_end(best) == found[row].tolist()
        np.testing.assert_allclose(scores[row], ranked[best], rtol=1e-4)


@pytest.mark.any_backend
def test_a_beam_finds_more_probable_targets():
    model, _ = made("additive", scale=2.0)
    source = tokens(np.random.default_rng(5), 40)
    _, greedy = models.decode(model, source, max_steps=4)
    _, wide = models.decode(model, source, beam_width=3, max_steps=4)
    _, all_ = models.decode(model, source, beam_width=31, max_steps=4)
    assert (wide <= all_ + 1e-4).all() and (greedy <= all_ + 1e-4).all()
    assert np.mean(wide - greedy) > 0.01


@pytest.mark.parametrize("name", ["plain", "additive", "multiplicative"])
def test_a_source_has_one_target_alone_padded_and_saved(name, tmp_path):
    model = models.encoder_decoder(7, 12, units=12, **MODELS[name])
    randomized(model, scale=0.7)
    model.get_layer("scores").bias.assign(np.zeros(12))
    source = tokens(np.random.default_rng(0), 12)
    options = {"beam_width": 3, "max_steps": 6}
    first, scores = models.decode(model, source, **options)
    behind, same = models.decode(model, padded(source), **options)
    alone = models.decode(model, source[1:2], **options)[0][0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    loaded, _ = models.decode(again, source, **options)
    as_lists = [[row.tolist() for row in rows] for rows in (first, behind, loaded)]
    assert as_lists[0] == as_lists[1] == as_lists[2]
    assert alone.tolist() == as_lists[0][1]
    np.testing.assert_allclose(same, scores, rtol=1e-5)
    assert len({tuple(row) for row in as_lists[0]}) > 1


@pytest.mark.any_backend
def test_a_source_of_numbers_is_decoded_and_weights_are_those_of_now():
    model = models.encoder_decoder(
        source_features=3, target_vocabulary=WORDS, units=4, attention="additive"
    )
    source = padded(numbers(np.random.default_rng(0), 2))
    models.decode(model, source, max_steps=4)
    randomized(model, scale=2.0)
    found, score = models.decode(model, source, beam_width=31, max_steps=4)
    every = log_probabilities(model, source[0], 4)
    assert without_end(max(every, key=every.get)) == found[0].tolist()
    np.testing.assert_allclose(score[0], max(every.values()), rtol=1e-4)


@pytest.mark.any_backend
def test_it_learns_to_turn_sequences_around():
    rng = np.random.default_rng(0)
    source = rng.integers(3, 7, (256, 3))
    labels = np.concatenate([source[:, ::-1], np.full((256, 1), END)], 1)
    inputs = np.concatenate([np.full((256, 1), START), labels[:, :-1]], 1)
    keras.utils.set_random_seed(0)
    model = models.encoder_decoder(7, 7, attention="additive", cell="gru", units=24)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    model.fit([source, inputs], labels, epochs=10, batch_size=32, verbose=0)
    found, _ = models.decode(model, source[:50], max_steps=5)
    right = [row.tolist() == s[::-1].tolist() for row, s in zip(found, source)]
    assert np.mean(right) > 0.9


@pytest.mark.any_backend
def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="`target_vocabulary` must be an integer"):
        models.encoder_decoder(7)
    with pytest.raises(ValueError, match="None or 'additive' or 'multiplicative'"):
        models.encoder_decoder(7, 7, attention="dot")
    with pytest.raises(ValueError, match="A decoder runs step by step"):
        models.encoder_decoder(7, 7, batch_norm=True)
    model, source = made("plain")
    with pytest.raises(ValueError, match="`end` must be a token"):
        models.decode(model, source, end=9)
    with pytest.raises(ValueError, match="`beam_width` must be"):
        models.decode(model, source, beam_width=0)
    with pytest.raises(ValueError, match="has no layer 'encoder'"):
        models.decode(models.classifier(3, features=2, units=4), source)
