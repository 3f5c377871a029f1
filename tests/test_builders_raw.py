"""The data sets as they are published: sizes, content, baselines. `make test-raw`.

KERAS_RNNX_RAW is a folder that holds, themselves or in folders in it, the files that
`keras_rnnx.datasets.prepare` asks for. On TensorFlow they are read by tfds.load, on the
others by `prepare` and `read`: the content is the same.
"""

import functools
import hashlib
import os

import keras
import numpy as np
import pytest
import tensorflow_datasets as tfds

from keras_rnnx.datasets import baselines, prepare, read

pytestmark = [pytest.mark.raw_data, pytest.mark.cases(100)]

# By name, the numbers of examples and a digest of the content of each part.
PUBLISHED = {
    "rnnx_jsb_chorales": {
        "train": (229, "07f579b4e9f88875"),
        "validation": (76, "11e1531c165c8f6d"),
        "test": (77, "7134decbdb28320b"),
    },
    "rnnx_nottingham": {
        "train": (694, "455898d617c765eb"),
        "validation": (173, "574c6e56afb88452"),
        "test": (170, "48c4a86680dae392"),
    },
    "rnnx_musedata": {
        "train": (524, "7db838babb8655db"),
        "validation": (135, "0e5d833578316c7e"),
        "test": (124, "aea7328aebd6407f"),
    },
    "rnnx_piano_midi": {
        "train": (87, "c6f516e278e886f5"),
        "validation": (12, "de8ec5313b4a3ebd"),
        "test": (25, "f87b2860bdc6551f"),
    },
    "rnnx_penn_treebank/words": {
        "train": (42_068, "7b3b93a13130c8ba"),
        "validation": (3_370, "56010d08723676ae"),
        "test": (3_761, "df8e806481cf1dc3"),
    },
    "rnnx_penn_treebank/characters": {
        "train": (42_068, "7206fb029bdff7fa"),
        "validation": (3_370, "c4c64ba50ae5e208"),
        "test": (3_761, "9ac55fb7a5cfc9ce"),
    },
    "rnnx_cmudict/no_stress": {
        "train": (105_668, "eb454f1a94eb94cc"),
        "validation": (5_857, "b6e2bc6c9f3979eb"),
        "test": (5_968, "03cfd134ad421627"),
    },
    "rnnx_cmudict/stress": {
        "train": (105_668, "d5af5004a55bec51"),
        "validation": (5_857, "4e6f4e6cfbf4b22d"),
        "test": (5_968, "0c993b1b1dc38fe6"),
    },
    "rnnx_spoken_digits": {
        "train": (2_700, "3c5679fa1d5eae18"),
        "test": (300, "3ef1074d0872348f"),
    },
    "rnnx_uea/JapaneseVowels": {
        "train": (270, "7f0ab8b91067cdc7"),
        "test": (370, "e02380b2b6e324e2"),
    },
    "rnnx_uea/BasicMotions": {
        "train": (40, "d30534b7936e40e9"),
        "test": (40, "06f307579afc3f5d"),
    },
    "rnnx_uea/ArrowHead": {
        "train": (36, "f0bf8032911fbff0"),
        "test": (175, "8acb8866c2ff45c8"),
    },
    "rnnx_uea/GunPoint": {
        "train": (50, "9298fb69cf60a38d"),
        "test": (150, "a87a2ed56fd0aba4"),
    },
    "rnnx_trec": {
        "train": (5_452, "c71a107661bc3bf7"),
        "test": (500, "5c94cf7ae9681505"),
    },
    "rnnx_sst/sst2": {
        "train": (6_920, "0d3fff646f29934e"),
        "validation": (872, "71f1b624d61e9a39"),
        "test": (1_821, "c6323912f0cec616"),
    },
    "rnnx_sst/sst5": {
        "train": (8_544, "edd0a16c798efd7a"),
        "validation": (1_101, "b805f2f3f53c5a50"),
        "test": (2_210, "28c58348a0662826"),
    },
    "rnnx_movie_reviews": {
        "train": (10_662, "101cb5796e557786"),
    },
    "rnnx_sequential_mnist/sequential": {
        "train": (60_000, "871f585a3129265f"),
        "test": (10_000, "57fa1938d0885475"),
    },
    "rnnx_sequential_mnist/permuted": {
        "train": (60_000, "5c25858d980aa3eb"),
        "test": (10_000, "d46b5a2bad9006a7"),
    },
}
# Steps in each part and the longest piece, and the losses of marginal and Markov.
MUSIC = {
    "rnnx_jsb_chorales": ([13_807, 4_602, 4_725], 160, 11.09, 10.49),
    "rnnx_nottingham": ([176_561, 45_513, 44_463], 1_793, 10.26, 5.15),
    "rnnx_musedata": ([245_202, 82_755, 64_339], 4_273, 11.52, 8.56),
    "rnnx_piano_midi": ([75_911, 8_540, 19_036], 3_857, 11.05, 8.27),
}
PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """From a name to its parts: lists of examples, which are dicts."""
    raw = os.environ.get("KERAS_RNNX_RAW")
    assert raw, "KERAS_RNNX_RAW has to be the folder with the raw files"
    data_dir = tmp_path_factory.mktemp("data")
    tfds.disable_progress_bar()
    config = tfds.download.DownloadConfig(manual_dir=raw)

    def by_tensorflow(name):
        parts = tfds.load(
            name,
            data_dir=data_dir,
            download_and_prepare_kwargs={"download_config": config},
        )
        return {
            part: [_plain(row) for row in data.as_numpy_iterator()]
            for part, data in parts.items()
        }

    def without(name):
        builder = prepare(name, data_dir=data_dir, manual_dir=raw)
        parts = {part: read(builder, part) for part in builder.info.splits}
        return {
            part: [dict(zip(data, row)) for row in zip(*data.values())]
            for part, data in parts.items()
        }

    on_tensorflow = keras.backend.backend() == "tensorflow"
    yield functools.lru_cache(2)(by_tensorflow if on_tensorflow else without)
    tfds.enable_progress_bar()


def _plain(value):
    """A value of tf.data as `read` has it."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [_plain(inner) for inner in value]
    return value


def digest(examples):
    """Of the content of examples in any order: shape, numbers, texts."""
    found = []
    for example in examples:
        one = hashlib.sha256()
        for name in sorted(example):
            value = example[name]
            if isinstance(value, np.ndarray) and value.ndim:
                value = (value.shape, str(value.dtype), value.tobytes())
            elif not isinstance(value, (str, list)):
                value = int(value)
            one.update(repr((name, value)).encode())
        found.append(one.digest())
    return hashlib.sha256(b"".join(sorted(found))).hexdigest()[:16]


@pytest.mark.parametrize("name", PUBLISHED)
def test_content_is_what_was_published(name, load):
    parts = load(name)
    found = {part: (len(rows), digest(rows)) for part, rows in parts.items()}
    assert found == PUBLISHED[name]


@pytest.mark.parametrize("name", MUSIC)
def test_music_has_its_steps_and_baselines(name, load):
    parts = {
        part: [row["sequence"] for row in rows] for part, rows in load(name).items()
    }
    steps, longest, marginal, markov = MUSIC[name]
    assert [sum(map(len, parts[part])) for part in PARTS] == steps
    assert max(len(roll) for rolls in parts.values() for roll in rolls) == longest
    train, test = parts["train"], parts["test"]
    # They do not say which counts begin at what, which moves the third digit.
    assert baselines.marginal_frames(train, test) == pytest.approx(marginal, abs=0.006)
    assert baselines.markov_frames(train, test) == pytest.approx(markov, abs=0.006)


def test_penn_treebank_has_its_words_and_baselines(load):
    rows = load("rnnx_penn_treebank/words")
    words = {
        part: " ".join(row["text"] for row in rows[part]).split(" ") for part in PARTS
    }
    assert [len(words[part]) for part in PARTS] == [929_589, 73_760, 82_430]
    assert len(set(words["train"])) == 10_000
    for part, unigram, bigram in (("validation", 687.0, 227.0), ("test", 639.3, 208.6)):
        found = baselines.unigram_perplexity(words["train"], words[part])
        assert round(found, 1) == unigram
        found = baselines.bigram_perplexity(words["train"], words[part], 0.7)
        assert round(found, 1) == bigram


def test_penn_treebank_has_its_characters(load):
    rows = load("rnnx_penn_treebank/characters")
    texts = ["".join(row["text"] for row in rows[part]) for part in PARTS]
    assert [len(text) for text in texts] == [5_017_482, 393_042, 442_423]
    assert len(set(texts[0])) == 50 and set(texts[2]) <= set(texts[0])


@pytest.mark.parametrize("config,phones", [("no_stress", 39), ("stress", 69)])
def test_cmudict_has_its_phones_and_alternates(config, phones, load):
    rows = [row for part in load(f"rnnx_cmudict/{config}").values() for row in part]
    said = {
        p for row in rows for text in row["pronunciations"] for p in text.split(" ")
    }
    assert len(said) == phones
    assert len({row["word"] for row in rows}) == len(rows) == 117_493
    assert max(len(row["word"]) for row in rows) == 28
    assert all(row["pronunciations"][0] == row["phones"] for row in rows)
    assert sum(len(row["pronunciations"]) > 1 for row in rows) > 5_000


@pytest.mark.parametrize(
    "name,most_frequent,accuracy",
    [
        ("rnnx_trec", "DESC", 0.276),
        ("rnnx_sst/sst2", "negative", 0.501),
        ("rnnx_sst/sst5", "negative", 0.286),
    ],
)
def test_sentences_have_their_majority(name, most_frequent, accuracy, load):
    """The share of the class that is most frequent in the test part itself."""
    labels = [row["label"] for row in load(name)["test"]]
    names = tfds.builder(name).info.features["label"].names
    assert names[np.bincount(labels).argmax()] == most_frequent
    assert round(baselines.majority(labels, labels), 3) == accuracy


def test_spoken_digits_are_complete(load):
    parts = load("rnnx_spoken_digits")
    rows = [row for part in parts.values() for row in part]
    assert len({(r["digit"], r["speaker"], r["index"]) for r in rows}) == 3_000
    assert {row["index"] for row in parts["test"]} == set(range(5))
    lengths = [len(row["sequence"]) for row in rows]
    assert (min(lengths), max(lengths)) == (12, 226)
    assert sum(lengths) == 125_237


def test_permuted_mnist_is_sequential_mnist_in_another_order(load):
    order = np.random.default_rng(0).permutation(784)
    plain, mixed = (
        load(f"rnnx_sequential_mnist/{name}")["test"]
        for name in ("sequential", "permuted")
    )
    reordered = [row | {"sequence": row["sequence"][order]} for row in plain]
    assert digest(reordered) == digest(mixed)
    assert np.bincount([row["label"] for row in plain]).tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]
