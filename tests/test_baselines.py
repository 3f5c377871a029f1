"""Baselines: by hand on small data. On the real sets: tests/test_builders_raw.py."""

import numpy as np
import pytest

from keras_rnnx.datasets import baselines

pytestmark = pytest.mark.any_backend


def rolls(count, seed=0):
    """Sequences of unequal length in three notes that sound unequally often."""
    random = np.random.default_rng(seed)
    lengths = random.integers(2, 9, count)
    return [(random.random((n, 3)) < [0.1, 0.5, 0.8]).astype("uint8") for n in lengths]


def test_frames_equal_a_count_by_hand():
    train, test = rolls(7), rolls(5, seed=1)
    marginal, markov = [], []
    for roll in test:
        for before, after in zip(roll[:-1], roll[1:]):
            by_rate = by_chain = 0
            for note in range(3):
                all_steps = [step[note] for r in train for step in r]
                pairs = [(b[note], a[note]) for r in train for b, a in zip(r, r[1:])]
                same = [a for b, a in pairs if b == before[note]]
                rate = (sum(all_steps) + 1) / (len(all_steps) + 2)
                chain = (sum(same) + 1) / (len(same) + 2)
                by_rate -= np.log(rate if after[note] else 1 - rate)
                by_chain -= np.log(chain if after[note] else 1 - chain)
            marginal.append(by_rate)
            markov.append(by_chain)
    assert baselines.marginal_frames(train, test) == pytest.approx(np.mean(marginal))
    assert baselines.markov_frames(train, test) == pytest.approx(np.mean(markov))


def test_perplexities_equal_a_count_by_hand():
    train, test = ["a", "b", "a", "c", "a", "b", "b", "a", "c"], ["a", "b", "b", "c"]
    p = {"a": 4 / 9, "b": 3 / 9, "c": 2 / 9}
    unigram = (p["a"] * p["b"] * p["b"] * p["c"]) ** (-1 / 4)
    assert baselines.unigram_perplexity(train, test) == pytest.approx(unigram)
    given = {"ab": 2 / 4, "bb": 1 / 3, "bc": 0}
    told = [0.6 * given[pair] + 0.4 * p[pair[1]] for pair in ("ab", "bb", "bc")]
    bigram = baselines.bigram_perplexity(train, test, 0.6)
    assert bigram == pytest.approx(np.prod(told) ** (-1 / 3))


def test_what_was_never_seen_is_named():
    for perplexity in (baselines.unigram_perplexity, baselines.bigram_perplexity):
        with pytest.raises(ValueError, match="'zebra' is not in the training part"):
            perplexity(["a", "b"], ["a", "zebra"])
    with pytest.raises(ValueError, match="`weight` must be in"):
        baselines.bigram_perplexity("ab", "ab", 1.5)


def test_majority_mean_and_repetition():
    assert baselines.majority(["b", "a", "b"], ["a", "b", "c", "a"]) == 0.25
    # Of two as frequent, the least.
    assert baselines.majority([2, 1], [1, 1, 2]) == pytest.approx(2 / 3)
    train, test = np.array([[0.0, 4.0], [2.0, 8.0]]), np.array([[1.0, 5.0]])
    assert baselines.mean(train, test) == 0.5
    x = np.arange(12.0).reshape(2, 3, 2)
    y = np.zeros((2, 3, 2))
    last_two = x[:, [1, 2, 1]]
    assert baselines.repeated(x, y, period=2) == pytest.approx(np.mean(last_two**2))
    with pytest.raises(ValueError, match="`period` must be at most the 3 steps"):
        baselines.repeated(x, y, period=4)
