"""Tasks of one's own data: what becomes of it, and what is refused."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_rnnx import datasets
from keras_rnnx.datasets import Figure, Task, Vocabulary

pytestmark = pytest.mark.any_backend


def ragged(n=40, features=3, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(k, features)) for k in rng.integers(2, 9, n)]


def rows(part):
    """What a part holds, as a set of rows with their targets."""
    return {(np.asarray(x).tobytes(), np.asarray(y).tobytes()) for x, y in zip(*part)}


def together(task):
    return [rows(part) for part in task.parts]


def test_each_sequence_is_in_one_part_with_its_target():
    x = ragged()
    y = np.arange(40) % 4
    task = Task.from_arrays(x, y, validation=8, test=0.2)
    parts = together(task)
    assert [len(p) for p in parts] == [24, 8, 8]
    given = zip((r.astype("float32") for r in x), y.astype("int32"))
    assert set.union(*parts) == {(a.tobytes(), b.tobytes()) for a, b in given}
    # Each class has its share.
    assert np.bincount(task.test.y).tolist() == [2, 2, 2, 2]
    again, other = (Task.from_arrays(x, y, validation=8, seed=s) for s in (0, 1))
    assert together(again)[0] != together(other)[0]


def test_no_group_is_in_two_parts():
    x, groups = ragged(), np.arange(40) // 5
    y = np.arange(40.0) * 10
    task = Task.from_arrays(x, y, groups=groups, validation=0.25, test=0.25)
    held = [{int(v) // 50 for v in part.y[:, 0]} for part in task.parts]
    assert set.union(*held) == set(range(8)) and sum(map(len, held)) == 8


def test_split_by_time_keeps_the_order():
    x, y = ragged(), np.arange(40.0)
    task = Task.from_arrays(x, y, split="time", validation=5, test=10)
    assert np.concatenate([p.y[:, 0] for p in task.parts]).tolist() == y.tolist()
    assert len(task.validation.y) == 5 and task.test.y[0] == 30


def test_parts_that_are_given_are_kept():
    x = ragged()
    test = (x[:7], np.arange(7) % 2)
    task = Task.from_arrays(x[7:], np.arange(33) % 2, test=test, validation=3)
    assert [len(p.x) for p in task.parts] == [30, 3, 7]
    for row, given in zip(task.test.x, x):
        np.testing.assert_array_equal(row, given.astype("float32"))


WORDS = ["the cat sat", "a dog", "the dog ran off", "cat", "so it was"] * 4


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        (np.arange(20) % 3, "classification"),
        (["yes", "no"] * 10, "classification"),
        (np.arange(20.0), "regression"),
        (np.ones((20, 3)), "regression"),
        ([["A"] * len(text.split()) for text in WORDS], "tagging"),
        ([["A", "B"][: 1 + n % 2] for n in range(20)], "sequence_to_sequence"),
    ],
)
def test_targets_say_which_kind_of_task_it_is(y, kind):
    if kind == "tagging":
        tokens = [text.split() for text in WORDS]
        assert Task.from_arrays(tokens, y).kind == "tagging"
        return
    task = Task.from_arrays(WORDS, y, validation=4, test=4)
    assert task.kind == kind and task.features is None
    assert task.loss == datasets.KINDS[kind].loss
    x = ragged(20)
    if kind == "sequence_to_sequence":
        kind = "ctc"
    assert Task.from_arrays(x, y, validation=4, test=4).kind == kind


def test_a_vocabulary_is_of_the_training_part_alone():
    texts = ["a b"] * 8 + ["a c"] * 2
    task = Task.from_arrays(texts, np.arange(10.0), split="time", validation=1, test=1)
    assert task.vocabulary.tokens == ("<pad>", "<unk>", "a", "b")
    assert task.test.x[0].tolist() == [2, 1] and task.tokens == 4
    parts = {"split": "time", "validation": 1, "test": 1}
    letters = Task.from_arrays(texts, np.arange(10.0), level="character", **parts)
    assert set(letters.vocabulary.tokens[2:]) == {"a", " ", "b"}
    small = Task.from_arrays(texts, np.arange(10.0), vocabulary_size=3)
    assert small.vocabulary.tokens == ("<pad>", "<unk>", "a")


def test_rare_words_teach_what_to_make_of_unknown_ones():
    texts = ["a b", "a b", "a c", "d d", "a", "a"]
    task = Task.from_arrays(
        texts, np.arange(6.0), split="time", validation=1, test=1, least=2
    )
    # "d" occurs twice, though in one text; "c" once.
    assert task.vocabulary.tokens == ("<pad>", "<unk>", "a", "b", "d")
    assert task.train.x[2].tolist() == [2, 1]


def test_a_result_stands_beside_those_of_its_metric():
    figures = [
        Figure("other", "accuracy", 0.949, "Somebody 2018"),
        Figure("other", "error", 0.051),
    ]
    task = Task.from_arrays(ragged(), np.arange(40) % 4 // 3, test=8)
    task = dataclasses.replace(task, published=figures)
    assert task.compared("mine", accuracy=0.5, f1=2 / 3).splitlines() == [
        "accuracy",
        "   0.500  mine",
        "   0.750  most frequent class",
        "   0.949  other (Somebody 2018)",
        "f1",
        "   0.667  mine",
    ]


def test_a_vocabulary_decodes_what_it_encodes():
    words = Vocabulary(["<pad>", "<start>", "<end>", "to", "be"])
    assert words.decode([1, *words.encode("be to be"), 2, 3, 0]) == "be to be"
    letters = Vocabulary("ab c", level="character")
    assert letters.decode(letters.encode("a bc")) == "a bc"
    with pytest.raises(ValueError, match="no 'bee'.*Near it: 'be'"):
        words.encode("bee")
    with pytest.raises(ValueError, match="5 tokens, received number 5"):
        words.decode([5])
    with pytest.raises(ValueError, match="'a' more than once"):
        Vocabulary("aba")


def test_pairs_are_written_one_token_later():
    x = [[5, 6, 7], [8], [9, 9]]
    y = [[3, 4], [], [9, 8, 7, 6]]
    batches = datasets.PairedBatches(x, y, batch_size=3, shuffle=False, end=20)
    (source, inputs), targets = batches[0]
    assert source.tolist() == [[5, 6, 7], [8, 0, 0], [9, 9, 0]]
    assert inputs.tolist() == [[1, 3, 4, 0, 0], [1, 0, 0, 0, 0], [1, 9, 8, 7, 6]]
    assert targets.tolist() == [[3, 4, 20, 0, 0], [20, 0, 0, 0, 0], [9, 8, 7, 6, 20]]
    for bad, word in (([[0]], "padding"), ([[1]], "`start`"), ([[20]], "`end`")):
        with pytest.raises(ValueError, match=f"Row 0 of `y` holds .* token of {word}"):
            datasets.PairedBatches([[5]], bad, end=20)


def test_transcriptions_have_lengths_of_their_own():
    x = ragged(40)
    y = [["a", "b", "c"][: n % 3] for n in range(40)]
    task = Task.from_arrays(x, y, kind="ctc")
    assert task.target_vocabulary.tokens == ("<blank>", "a", "b", "c")[:3]
    assert task.classes == task.outputs == 2
    batch, labels = task.batches("train", 8)[0]
    assert labels.shape[0] == 8 and set(np.unique(labels)) <= {0, 1, 2}
    np.testing.assert_array_equal(np.isnan(batch).any(axis=(1, 2)).all(), False)


def test_frames_are_told_by_those_before():
    rng = np.random.default_rng(0)
    rolls = [(rng.random((k, 5)) < 0.3).astype("uint8") for k in range(3, 23)]
    task = Task.from_arrays(rolls, kind="next_step", split="time", test=2)
    x, y = task.test
    np.testing.assert_array_equal(x[1], rolls[-1][:-1])
    np.testing.assert_array_equal(y[1], rolls[-1][1:])
    assert task.outputs == task.features == 5
    with pytest.raises(ValueError, match=r"Row 0 .* has 1 step"):
        Task.from_arrays([rolls[0][:1], *rolls], kind="next_step")


def test_no_target_of_a_forecast_is_in_two_parts():
    """Every target once, in its part; scales of the training part alone."""
    values = np.arange(100.0)
    task = Task.from_series(values, window=10, horizon=1, validation=20, test=30)
    told = [task.scaling.original(part.y)[:, 0, 0] for part in task.parts]
    for part, (begin, end) in zip(told, ((10, 50), (50, 70), (70, 100))):
        np.testing.assert_allclose(part, np.arange(begin, end), rtol=1e-5)
    for part in task.parts:
        np.testing.assert_allclose(part.x[1:, -1], part.y[:-1, 0], rtol=1e-5)
    np.testing.assert_allclose(task.scaling.mean, values[:50].mean())
    np.testing.assert_allclose(task.scaling.deviation, values[:50].std())
    strided = Task.from_series(values, 10, 4, stride=7, scale=None)
    np.testing.assert_array_equal(strided.train.y[:, 0, 0], np.arange(10, 67, 7))
    # The error of repeating the last value is one, and a model's error is told in it.
    mase = task.new_metrics()[1]
    mase.update_state(task.test.y[1:], task.test.x[1:, -1:])
    np.testing.assert_allclose(float(mase.result()), 1, rtol=1e-4)


def test_columns_of_a_frame_are_named():
    class Frame:
        columns = ["load", "wind"]

        def to_numpy(self):
            return np.stack([np.arange(50.0), np.sin(np.arange(50.0))], axis=1)

    task = Task.from_series(Frame(), 5, 2, targets="wind")
    assert task.train.x.shape[-1] == 2 and task.outputs == 1
    np.testing.assert_allclose(
        task.scaling.original(task.train.y)[0, :, 0], np.sin([5.0, 6.0]), rtol=1e-5
    )
    with pytest.raises(ValueError, match="column.*'wnd'.*Did you mean 'wind'"):
        Task.from_series(Frame(), 5, 2, targets=["wnd"])


def test_a_text_is_cut_by_place():
    text = "abcdefghij" * 20
    task = Task.from_text(text, validation=0.1, test=30)
    decoded = [task.vocabulary.decode(part.x) for part in task.parts]
    assert "".join(decoded) == text and [len(t) for t in decoded] == [150, 20, 30]
    assert task.tokens == task.outputs == 10
    words = Task.from_text("to be or not " * 9, level="word", test="to see")
    assert words.vocabulary.tokens[0] == "<unk>"
    assert words.test.x.tolist()[1] == 0
    x, y = task.batches("train", 3, steps=10)[0]
    np.testing.assert_array_equal(y[:, :-1], x[:, 1:])


def test_classes_count_alike_if_they_are_balanced():
    task = Task.from_arrays(ragged(), [0] * 30 + [1] * 10)
    totals = np.zeros(2)
    batches = task.batches("train", 8, class_weight="balanced")
    for k in range(len(batches)):
        _, y, weights = batches[k]
        np.add.at(totals, y, weights)
    np.testing.assert_allclose(totals, len(task.train.y) / 2, rtol=1e-6)
    _, y, weights = task.batches("train", 8, class_weight={1: 5.0})[0]
    np.testing.assert_array_equal(weights, np.where(y == 1, 5.0, 1.0))
    with pytest.raises(ValueError, match="`class_weight` needs a number for each of 2"):
        task.batches("train", class_weight=[1.0])


X, Y = ragged(), np.arange(40) % 2
HOLED = [row.copy() for row in X]
HOLED[7][1, 2] = np.nan


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((X, Y[:-1]), {}, "40 sequences in `x` and 39 targets"),
        ((HOLED, Y), {}, "holds NaN at step 1 in feature 2"),
        (([*X[1:], X[0][:0]], Y), {"split": "time"}, "Row 39 of `x` has no steps"),
        ((X, Y), {"kind": "classify"}, "kind of task.*Did you mean 'classification'"),
        ((X, Y - 1), {}, "Target .* is -1, which is none of the classes: 0 to 1"),
        ((X, Y), {"classes": 3}, "no example of class 2"),
        ((X, Y * 2), {}, "no example of class 1"),
        ((X, ["a"] * 39 + ["b"]), {}, "Class 'b' has 1 sequence"),
        ((X, Y), {"test": 1}, "`test` has 1 sequence.* for 2 classes"),
        ((X, Y.astype(float)), {"split": "stratified"}, "is for classification"),
        ((X, Y), {"split": "groups"}, "needs `groups`"),
        ((X, Y), {"groups": [1]}, "`groups` has 1 entries"),
        ((X, Y), {"test": 0.5, "validation": 0.5}, "leave none of 40 rows"),
        ((X, Y), {"test": 1.5}, "`test` must be a fraction"),
        ((X, Y), {"test": (X,)}, "`test` must be a fraction, .* tuple of 1"),
        ((X, None), {}, "`y` is missing"),
        ((X, Y), {"vocabulary_size": 5}, "`vocabulary_size` is for texts"),
        ((X, Y), {"least": 2}, "`least` is for texts"),
        (([*WORDS, 5], np.arange(21) % 2), {}, "row 20 is no text"),
        ((X, np.full(40, np.nan)), {}, "Row 0 of `y` holds nan in column 0"),
        ((X, [np.zeros(1)] * 40), {"kind": "tagging"}, "steps in `x` and 1 targets"),
        ((X, [row[:, :1] for row in X]), {"kind": "next_step"}, "are 0 or 1"),
        ((X, [[0, 1]] * 40), {"kind": "ctc"}, "holds label 0. Labels are 1 to 1"),
        ((X, Y), {"kind": "language_model"}, "`Task.from_text`"),
        ((X, Y), {"kind": "forecasting"}, "`Task.from_series`"),
        (("abc", Y), {}, "`x` must be an array or a list"),
        (([[5, 6]] * 40, [[2]] * 40), {}, "tokens from 3 on"),
    ],
)
def test_what_does_not_fit_is_named(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        Task.from_arrays(*arguments, **options)


def test_series_that_cannot_be_forecast_are_refused():
    values = np.arange(60.0).reshape(30, 2)
    with pytest.raises(ValueError, match="take 40 steps, and the part .* has 21"):
        Task.from_series(values, 38, 2)
    with pytest.raises(ValueError, match="longer than the part for validation"):
        Task.from_series(values, 3, 5)
    values[4, 1] = np.nan
    with pytest.raises(ValueError, match="holds nan in row 4, column 1"):
        Task.from_series(values, 3, 1)


def test_parts_and_kinds_have_names():
    for options in ({"lenght": 3}, {"kind": "language_model", "seed": 1}):
        with pytest.raises(ValueError, match="option of `Task.from_tfds`"):
            Task.from_tfds("rnnx_parity", **options)
    task = Task.from_arrays(X, Y)
    with pytest.raises(ValueError, match="part of a task.*'tset'.*'test'"):
        task.batches("tset")
    if keras.backend.backend() != "tensorflow":
        with pytest.raises(ValueError, match="needs the backend TensorFlow"):
            task.dataset()
