"""Where builders look for raw files, by hand and on the network."""

import functools
import hashlib
import http.server
import itertools
import lzma
import pathlib
import threading

import numpy as np
import pytest
import raw_data
import tensorflow_datasets as tfds

from keras_rnnx.datasets import builders, prepare, read
from keras_rnnx.datasets.builders import cmudict
from keras_rnnx.datasets.builders._files.raw_files import RawFile

pytestmark = [
    pytest.mark.any_backend,
    pytest.mark.usefixtures("without_progress_bar"),
]


def write_uea(folder, name, channels=2, classes=("p", "q")):
    """Both files of a data set; the first as .xz."""
    parts = {"TRAIN": [3, 5, 4, 7], "TEST": [6, 2]}
    rows = {
        part: raw_data.series(channels, lengths, classes, seed=len(lengths))
        for part, lengths in parts.items()
    }
    for part, ending in (("TRAIN", ".xz"), ("TEST", "")):
        content = raw_data.ts(rows[part], classes).encode()
        content = lzma.compress(content) if ending else content
        (folder / f"{name}_{part}.ts{ending}").write_bytes(content)
    return rows


def test_any_uea_set_is_taken_by_name(tmp_path):
    (tmp_path / "raw" / "deeper").mkdir(parents=True)
    rows = write_uea(tmp_path / "raw" / "deeper", "Small")
    builder = prepare(
        "rnnx_uea/Small", data_dir=tmp_path / "data", manual_dir=tmp_path / "raw"
    )
    assert builder.info.features["label"].names == ["p", "q"]
    for part in ("train", "test"):
        data = read(builder, part)
        assert {
            (data["label"][i], x.round(4).tobytes())
            for i, x in enumerate(data["sequence"])
        } == {
            ("pq".index(label), values.T.astype("float32").round(4).tobytes())
            for values, label in rows[part.upper()]
        }
    config = builders.UeaConfig(name="Other", channels=1, classes=("a", "b"))
    with pytest.raises(FileNotFoundError, match=r"needs Other_TRAIN\.ts.*manual_dir="):
        tfds.builder(
            "rnnx_uea", config=config, data_dir=tmp_path
        ).download_and_prepare()
    with pytest.raises(FileNotFoundError, match=r"Other_TRAIN\.ts, which is not in"):
        prepare("rnnx_uea/Other", data_dir=tmp_path, manual_dir=tmp_path)
    with pytest.raises(
        ValueError, match="others need their files in.*Did you mean 'GunPoint'"
    ):
        prepare("rnnx_uea/GunPoit", data_dir=tmp_path)
    with pytest.raises(ValueError, match="needs `channels` and `classes`"):
        prepare("rnnx_uea", data_dir=tmp_path, name="Other")


def test_a_uea_set_of_other_shape_is_refused(tmp_path):
    write_uea(tmp_path, "GunPoint", channels=2, classes=("1", "2"))
    with pytest.raises(ValueError, match=r"expected 1 channels.*received 2") as error:
        prepare("rnnx_uea/GunPoint", data_dir=tmp_path / "data", manual_dir=tmp_path)
    assert "GunPoint_TRAIN.ts.xz is damaged or other" in str(error.value)


def test_uea_sets_are_read_packed(tmp_path):
    random = np.random.default_rng(0)
    np.savez(
        tmp_path / "JapaneseVowels.npz",
        classes=list("123456789"),
        x_train=random.random((12, 12)),
        len_train=[7, 5],
        y_train=[3, 8],
        x_test=random.random((6, 12)),
        len_test=[6],
        y_test=[0],
    )
    builder = prepare("rnnx_uea", data_dir=tmp_path / "data", manual_dir=tmp_path)
    data = read(builder)
    assert sorted(zip(data["label"], map(len, data["sequence"]))) == [(3, 7), (8, 5)]


def test_spoken_digits_are_read_from_recordings(tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    clips = {"3_theo_4": 5, "3_theo_5": 9, "0_lucas_49": 17}
    for name, band in clips.items():
        raw_data.write_wav(folder / f"{name}.wav", 2**14 * raw_data.tone(band))
    builder = prepare(
        "rnnx_spoken_digits", data_dir=tmp_path / "data", manual_dir=tmp_path
    )
    names = builder.info.features["speaker"].names
    seen = {}
    for part in ("train", "test"):
        data = read(builder, part)
        for i, sequence in enumerate(data["sequence"]):
            digit, who, index = (data[k][i] for k in ("digit", "speaker", "index"))
            seen[f"{digit}_{names[who]}_{index}"] = part
            assert set(sequence.argmax(1)) == {clips[f"{digit}_{names[who]}_{index}"]}
    assert seen == {"3_theo_4": "test", "3_theo_5": "train", "0_lucas_49": "train"}


def test_mnist_of_other_content_is_refused(tmp_path):
    arrays = {
        "x_train": np.zeros((3, 28, 28), "uint8"),
        "y_train": np.arange(3, dtype="uint8"),
        "x_test": np.zeros((2, 28, 28), "uint8"),
        "y_test": np.arange(2, dtype="uint8"),
    }
    np.savez(tmp_path / "mnist.npz", **arrays)
    where = {"data_dir": tmp_path / "data", "manual_dir": tmp_path}
    with pytest.raises(
        ValueError, match=r"mnist\.npz is damaged or other: expected con"
    ):
        prepare("rnnx_sequential_mnist", **where)
    np.savez(tmp_path / "mnist.npz", **arrays | {"y_train": np.arange(4)})
    with pytest.raises(ValueError, match="x_train has the shape"):
        prepare("rnnx_sequential_mnist", **where)


@pytest.mark.parametrize("name", ["rnnx_cmudict", "rnnx_penn_treebank", "rnnx_trec"])
def test_another_file_of_that_name_is_refused(name, tmp_path):
    """Each has its checksum: what is cut short is still text, and would be taken."""
    for file in ("cmudict.dict", "ptb.train.txt", "TREC.train.all"):
        (tmp_path / file).write_text("0 a B\n")
    for file in ("ptb.valid.txt", "ptb.test.txt", "TREC.test.all"):
        (tmp_path / file).write_text("0 a B\n")
    with pytest.raises(
        ValueError, match="damaged or other: expected SHA-256 "
    ) as error:
        prepare(name, data_dir=tmp_path / "data", manual_dir=tmp_path)
    assert hashlib.sha256(b"0 a B\n").hexdigest() in str(error.value)
    assert "anew from https://" in str(error.value)


def test_a_file_in_two_folders_is_ambiguous(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        raw_data.write_mat(tmp_path / folder / "MuseData.mat", raw_data.rolls())
    where = {"data_dir": tmp_path / "data", "manual_dir": tmp_path}
    with pytest.raises(
        ValueError, match=r"several MuseData\.mat: .*one.*two.*Leave one"
    ):
        prepare("rnnx_musedata", **where)
    raw_data.write_mat(tmp_path / "MuseData.mat", raw_data.rolls(1))
    lengths = map(len, read(prepare("rnnx_musedata", **where))["sequence"])
    assert sorted(lengths) == sorted(map(len, raw_data.rolls(1)["train"]))


@pytest.fixture
def server(tmp_path):
    """A folder that a server on this machine gives out, and its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as http_server:
        threading.Thread(target=http_server.serve_forever).start()
        yield folder, f"http://127.0.0.1:{http_server.server_port}/cmudict.dict"
        http_server.shutdown()


class Downloaded(builders.Cmudict):
    """The dictionary from wherever a test has put it."""

    name = "cmudict_downloaded_by_tests"
    url_infos = None


def dictionary_of_all_parts():
    """The first words of letters that fall into each part, with made-up phones."""
    words = {}
    for word in map("".join, itertools.product("abc", repeat=4)):
        words.setdefault(cmudict.part_of(word), f"{word} AH{len(words)} B\n")
    assert len(words) == 3
    return "".join(words.values()).encode()


def from_address(monkeypatch, url, content):
    """The builder of a dictionary with this content that is at an address."""
    checksum = hashlib.sha256(content).hexdigest()
    info = tfds.download.checksums.UrlInfo(len(content), checksum, "cmudict.dict")
    monkeypatch.setattr(Downloaded, "FILE", RawFile("cmudict.dict", url))
    monkeypatch.setattr(Downloaded, "url_infos", {url: info})


def test_a_file_is_downloaded_once(server, monkeypatch, tmp_path):
    folder, url = server
    content = dictionary_of_all_parts()
    from_address(monkeypatch, url, content)
    where = {"data_dir": tmp_path / "data"}
    with pytest.raises(ConnectionError, match=r"needs cmudict\.dict.*404.*manual_dir="):
        prepare(Downloaded.name, **where)
    (folder / "cmudict.dict").write_bytes(content[:-9])
    with pytest.raises(Exception, match="has wrong checksum") as error:
        prepare(Downloaded.name, **where)
    assert url in str(error.value)
    (folder / "cmudict.dict").write_bytes(content)
    words = prepare(Downloaded.name, **where).info.splits.total_num_examples
    assert words == 3
    # With other options, from the file that is there.
    (folder / "cmudict.dict").unlink()
    builder = prepare(f"{Downloaded.name}/stress", **where)
    assert builder.info.splits.total_num_examples == 3


def test_without_a_network_it_says_so_at_once(monkeypatch, tmp_path):
    # No one listens there.
    from_address(monkeypatch, "http://127.0.0.1:9/cmudict.dict", b"x")
    with pytest.raises(ConnectionError) as error:
        prepare(Downloaded.name, data_dir=tmp_path)
    for said in ("cmudict.dict", "http://127.0.0.1:9/", "refused", "manual_dir=folder"):
        assert said in str(error.value)
    assert not list(pathlib.Path(tmp_path).glob("**/*.array_record*"))


def test_a_set_of_tfds_without_a_network(monkeypatch, tmp_path):
    """TFDS would try for minutes."""
    shakespeare = tfds.builder_cls("tiny_shakespeare")
    (info,) = shakespeare.url_infos.values()
    monkeypatch.setattr(
        shakespeare, "url_infos", {"http://127.0.0.1:9/input.txt": info}
    )
    with pytest.raises(
        ConnectionError, match="tiny_shakespeare.*input.txt in a folder"
    ):
        prepare("tiny_shakespeare", data_dir=tmp_path)
