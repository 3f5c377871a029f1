"""Small models of each kind of sequence task, with inputs for them."""

import numpy as np
from tensors import randomize

from keras_rnnx import models

FEATURES, TOKENS, STEPS, PADDED = 3, 7, 5, 9


def numbers(rng, rows, steps=STEPS):
    """Sequences of numbers."""
    return rng.normal(size=(rows, steps, FEATURES)).astype("float32")


def tokens(rng, rows, steps=STEPS):
    """Sequences of tokens, without that of padding."""
    return rng.integers(1, TOKENS, (rows, steps)).astype("int32")


def padded(x, steps=PADDED):
    """The same with steps of padding at the end."""
    if isinstance(x, list):
        return [padded(part, steps) for part in x]
    fill = 0 if x.dtype.kind == "i" else np.nan
    return np.concatenate(
        [x, np.full((len(x), steps - x.shape[1], *x.shape[2:]), fill, x.dtype)], axis=1
    )


def randomized(model, seed=0, scale=0.7):
    """The model with weights drawn from a seed, all of them, biases too."""
    randomize(model, seed, scale)
    return model


def pairs(rng, rows, steps=STEPS):
    """Sources and what their decoder reads."""
    return [tokens(rng, rows, steps), tokens(rng, rows, steps)]


def pairs_of_numbers(rng, rows, steps=STEPS):
    """The same, of sources of numbers."""
    return [numbers(rng, rows, steps), tokens(rng, rows, steps)]


# kind: a model, its inputs, and whether there is an output for each step.
KINDS = {
    "classifier": (
        lambda: models.classifier(4, features=FEATURES, units=5, bidirectional=True),
        numbers,
        False,
    ),
    "classifier, mean": (
        lambda: models.classifier(
            4, vocabulary=TOKENS, units=[4, 5], cell="gru", pooling="mean"
        ),
        tokens,
        False,
    ),
    "regressor, max": (
        lambda: models.regressor(
            2,
            features=FEATURES,
            units=5,
            depth=2,
            pooling="max",
            bidirectional=True,
        ),
        numbers,
        False,
    ),
    "tagger": (
        lambda: models.tagger(4, vocabulary=TOKENS, units=5, cell="sru", depth=2),
        tokens,
        True,
    ),
    "tagger, crf": (
        lambda: models.tagger(
            4, features=FEATURES, units=5, head="crf", bidirectional=True
        ),
        numbers,
        True,
    ),
    "next step": (
        lambda: models.next_step(
            4, features=FEATURES, units=5, depth=2, connection="residual"
        ),
        numbers,
        True,
    ),
    "language model": (
        lambda: models.language_model(TOKENS, units=5, embedding=3, tied=True),
        tokens,
        True,
    ),
    "language model, adaptive": (
        lambda: models.language_model(
            TOKENS, units=5, softmax="adaptive", cutoffs=[2, 4], cell="gru"
        ),
        tokens,
        True,
    ),
    "forecaster": (
        lambda: models.forecaster(4, 2, FEATURES, units=5, depth=2),
        numbers,
        False,
    ),
    "forecaster, autoregressive": (
        lambda: models.forecaster(
            3, features=FEATURES, mode="autoregressive", units=5, cell="gru"
        ),
        numbers,
        False,
    ),
    "ctc labeller": (
        lambda: models.ctc_labeller(4, features=FEATURES, units=5),
        numbers,
        True,
    ),
    "encoder-decoder": (
        lambda: models.encoder_decoder(TOKENS, TOKENS, units=5, depth=2),
        pairs,
        True,
    ),
    "encoder-decoder, additive": (
        lambda: models.encoder_decoder(
            TOKENS,
            TOKENS,
            attention="additive",
            units=[4, 5],
            cell="gru",
            bidirectional=True,
        ),
        pairs,
        True,
    ),
    "encoder-decoder, multiplicative": (
        lambda: models.encoder_decoder(
            source_features=FEATURES,
            target_vocabulary=TOKENS,
            attention="multiplicative",
            units=5,
            go_backwards=True,
        ),
        pairs_of_numbers,
        True,
    ),
}
