"""What builders make of raw files: small ones, in the form of the large ones."""

import functools
import hashlib
import lzma

import numpy as np
import pytest
import raw_data

from keras_rnnx.datasets import builders
from keras_rnnx.datasets.builders import (
    _log_mel,
    cmudict,
    music,
    penn_treebank,
    sentences,
    spoken_digits,
)
from keras_rnnx.datasets.builders._files import ts_files
from keras_rnnx.datasets.builders._files.raw_files import LocalFile, RawFile

pytestmark = pytest.mark.any_backend

URL = "https://example.org/raw"


def found(path, content, packed=None):
    """A raw file with this content."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    name = path.name.removesuffix(".xz")
    return LocalFile(path, RawFile(name, URL, packed=packed), None)


DICTIONARY = """\
'bout B AW1 T
abuse AH0 B Y UW1 S
abuse(2) AH0 B Y UW1 Z # as a verb
aye AY1
aye(2) EY1
aye(3) AY2
d'artagnan D AH0 R T AE1 NG Y AH0 N # name
"""


def test_cmudict_keeps_words_of_letters_and_their_alternates(tmp_path):
    file = found(tmp_path / "cmudict.dict", DICTIONARY)
    assert cmudict.parse(file, stress=True) == {
        "abuse": ["AH0 B Y UW1 S", "AH0 B Y UW1 Z"],
        "aye": ["AY1", "EY1", "AY2"],
    }
    # Without stress, two of the three are the same.
    assert cmudict.parse(file, stress=False)["aye"] == ["AY", "EY"]
    damaged = found(tmp_path / "cmudict.dict", "abuse AH0 B\nzebra\n")
    with pytest.raises(ValueError, match=r"cmudict\.dict is damaged: line 2 has no ph"):
        cmudict.parse(damaged, stress=True)


def test_cmudict_splits_by_the_hash_of_the_word():
    for word in ("abuse", "recurrent", "zebra", "aye", "tune"):
        rest = int(hashlib.sha1(word.encode()).hexdigest(), 16) % 20
        expected = "test" if rest == 0 else "validation" if rest == 1 else "train"
        assert cmudict.part_of(word) == expected
    words = [
        "".join(w) for w in np.random.default_rng(0).choice(list("abc"), (4000, 9))
    ]
    parts = [cmudict.part_of(word) for word in words]
    for part, share in {"train": 0.9, "validation": 0.05, "test": 0.05}.items():
        assert abs(parts.count(part) / 4000 - share) < 0.015


def test_penn_treebank_is_the_stream_of_its_lines(tmp_path):
    text = " no it was n't <unk> \n N million \n"
    file = found(tmp_path / "ptb.train.txt", text)
    assert penn_treebank.sentences(file) == ["no it was n't <unk>", "N million"]
    packed = found(tmp_path / "ptb.test.txt.xz", lzma.compress(text.encode()))
    assert penn_treebank.sentences(packed) == ["no it was n't <unk>", "N million"]

    class Small(builders.PennTreebank):
        name = "penn_treebank_of_tests"

    words, characters = (
        Small(config=name, data_dir=tmp_path)._generate_examples(["a bc", "d"])
        for name in ("words", "characters")
    )
    stream = " ".join(example["text"] for _, example in words).split(" ")
    assert stream == ["a", "bc", "<eos>", "d", "<eos>"]
    assert "".join(example["text"] for _, example in characters) == "a bc\nd\n"


def test_sentences_have_a_class_and_words(tmp_path):
    text = "0 caf\xe9 \x85 !\n4 fine . \n"
    file = found(tmp_path / "rt-polarity.all", text.encode("latin-1"))
    assert sentences.labelled(file, "cp1252", 5) == [(0, "café … !"), (4, "fine .")]
    for wrong in ("5 fine\n", "x fine\n", "3\n", "-1 fine\n"):
        file = found(tmp_path / "rt-polarity.all", "0 good\n" + wrong)
        with pytest.raises(
            ValueError, match="line 2 is not a class of 0 to 4 and words"
        ):
            sentences.labelled(file, "cp1252", 5)
    file = found(tmp_path / "stsa.fine.dev", b"0 caf\xe9\n")
    with pytest.raises(ValueError, match=r"stsa\.fine\.dev is damaged: it is no utf-8"):
        sentences.labelled(file, "utf-8", 5)


@pytest.mark.parametrize("channels", [1, 3])
def test_ts_files_are_read(channels):
    rows = raw_data.series(channels, [4, 6, 5], ["left", "right"])
    series = ts_files.parse(raw_data.ts(rows, ["right", "left"]))
    assert series.classes == ["right", "left"] and series.channels == channels
    assert series.labels == ["left", "right", "left"]
    for sequence, (values, _) in zip(series.sequences, rows):
        assert sequence.dtype == np.float32
        np.testing.assert_allclose(sequence, values.T, rtol=1e-6)


@pytest.mark.parametrize(
    "rows,said",
    [
        ("1,?,3:4,5,6:a", r"row 1, channel 1, step 2 is '\?'.*missing values"),
        ("1,2:3,4:a\n1,2:NaN,4:b", "row 2, channel 2, step 1 is 'NaN'"),
        ("1,2:3,4:a\n1,,2:3,4:b", "row 2, channel 1, step 2 is ''"),
        ("1,2:3,4:a\n1,2:b", "row 2 has 1 channels, the first 2"),
        ("1,2:3,4,5:a", r"row 1 has channels of different lengths: \[2, 3\]"),
        (
            "1,2:3,4:c",
            "row 1 has the class 'c', which is not one of the header's: a, b",
        ),
        ("(0,1),(1,2):a", "row 1, channel 1 has time stamps"),
        ("", "it has no rows"),
    ],
)
def test_ts_files_are_refused_by_row_and_column(rows, said):
    with pytest.raises(ValueError, match=said):
        ts_files.parse(f"@classLabel true a b\n@data\n{rows}\n")


def test_ts_headers_are_refused():
    with pytest.raises(ValueError, match="no line @data"):
        ts_files.parse("@classLabel true a b\n1,2:a\n")
    with pytest.raises(ValueError, match="names no classes"):
        ts_files.parse("@classLabel false\n@data\n1,2\n")
    with pytest.raises(ValueError, match="time stamps"):
        ts_files.parse("@timeStamps true\n@classLabel true a\n@data\n1:a\n")


def test_log_mel_finds_a_tone_in_its_band():
    for band in (3, 12, 21):
        tone = raw_data.tone(band)
        steps = _log_mel.steps(0.1 * tone)
        assert steps.shape == ((800 - 200) // 80 + 1, 24)
        assert np.all(steps.argmax(1) == band)
        # Ten times as loud is 20 dB more, 40 steps.
        louder = _log_mel.steps(tone)
        assert np.all(np.abs(louder[:, band].astype(int) - steps[:, band] - 40) <= 1)
    silence = _log_mel.decibel(_log_mel.steps(np.zeros(200)))
    assert silence.shape == (1, 24) and np.all(silence == -90)


@pytest.mark.parametrize(
    "name,write,said",
    [
        ("3_nobody_4", {}, "its name is not digit_speaker_index.wav"),
        ("3_theo_4", {"rate": 16_000}, r"is \(1, 2, 16000\), expected \(1, 2, 8000\)"),
        ("3_theo_4", {"width": 4}, r"is \(1, 4, 8000\)"),
        ("3_theo_4", {"samples": [0] * 199}, "has 199 samples, less than one frame"),
        ("3_theo_4", None, r"it is no whole \.wav file"),
    ],
)
def test_recordings_are_refused(name, write, said, tmp_path):
    path = tmp_path / f"{name}.wav"
    if write is None:
        path.write_bytes(b"RIFF....WAVE")
    else:
        raw_data.write_wav(path, **({"samples": [0] * 800} | write))
    with pytest.raises(ValueError, match=said) as error:
        spoken_digits.recording(LocalFile(path, RawFile(path.name, URL), None))
    assert str(path) in str(error.value)


def test_spoken_digits_are_read_packed(tmp_path):
    random = np.random.default_rng(0)
    steps = random.integers(0, 256, (9, 24)).astype("uint8")
    arrays = {
        "logmel_q": steps,
        "lengths": np.array([4, 5]),
        "digit": np.array([7, 2]),
        "speaker": np.array([1, 0]),
        "index": np.array([4, 30]),
        "speaker_names": np.array(["lucas", "george"]),
    }
    path = tmp_path / "fsdd_logmel24.npz"
    file = LocalFile(path, spoken_digits.FILE, None)
    np.savez(path, **arrays)
    first, second = spoken_digits.packed(file)
    np.testing.assert_array_equal(second["sequence"], steps[4:] * 0.5 - 90)
    assert (first["speaker"], second["speaker"]) == ("george", "lucas")
    assert (first["digit"], first["index"], second["digit"]) == (7, 4, 2)
    np.savez(path, **arrays | {"lengths": np.array([4, 6])})
    with pytest.raises(ValueError, match="logmel_q does not fit to lengths"):
        spoken_digits.packed(file)
    del arrays["digit"]
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="it lacks digit"):
        spoken_digits.packed(file)


def test_damaged_music_is_refused(tmp_path):
    rolls = raw_data.rolls()
    path = tmp_path / "JSB_Chorales.mat"
    raw_data.write_mat(path, rolls)
    whole = path.read_bytes()
    file = functools.partial(found, path)
    assert len(music.from_mat(file(whole))["train"]) == 3
    for content in (whole[: len(whole) // 2], b"nothing of the kind" * 20, b""):
        with pytest.raises(ValueError, match=r"JSB_Chorales\.mat is damaged"):
            music.from_mat(file(content))
    wrong = rolls | {"valid": [rolls["valid"][0][:, :87]]}
    raw_data.write_mat(path, wrong)
    with pytest.raises(ValueError, match=r"validation 0 has the shape \(\d, 87\)"):
        music.from_mat(file(path.read_bytes()))
    wrong = rolls | {"test": [rolls["test"][0], rolls["test"][1] * 2 + 1]}
    raw_data.write_mat(path, wrong)
    with pytest.raises(ValueError, match="test 1 has values other than 0 and 1"):
        music.from_mat(file(path.read_bytes()))

    packed = tmp_path / "jsb_chorales.npz"
    raw_data.write_packed(packed, rolls)
    whole = packed.read_bytes()
    flipped = bytearray(whole)
    flipped[120] ^= 255
    for content in (whole[: len(whole) // 2], bytes(flipped), b"PK nothing", b""):
        with pytest.raises(ValueError, match=r"jsb_chorales\.npz is damaged"):
            music.unpacked(found(packed, content, packed=packed.name))


def test_mnist_is_permuted_once_for_all():
    images = np.random.default_rng(1).integers(0, 256, (3, 28, 28)).astype("uint8")
    rows, mixed = (
        [
            example["sequence"]
            for _, example in builders.SequentialMnist(config=name)._generate_examples(
                images, [0, 1, 2]
            )
        ]
        for name in ("sequential", "permuted")
    )
    order = np.random.default_rng(0).permutation(784)
    for image, row, permuted in zip(images, rows, mixed):
        np.testing.assert_allclose(row[:, 0], image.ravel() / 255, rtol=1e-6)
        np.testing.assert_array_equal(permuted, row[order])
