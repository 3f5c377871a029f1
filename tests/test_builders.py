"""Builders without TensorFlow: registered, prepared, read, and what goes wrong."""

import errno
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import raw_data
import tensorflow_datasets as tfds

from keras_rnnx import datasets
from keras_rnnx.datasets import builders, load_task, prepare, read

pytestmark = [
    pytest.mark.any_backend,
    pytest.mark.usefixtures("without_progress_bar"),
]


OURS = sorted(
    builder.name
    for builder in vars(builders).values()
    if isinstance(builder, type) and issubclass(builder, tfds.core.DatasetBuilder)
)


def test_importing_registers_all():
    assert len(OURS) == 20
    assert {f"rnnx_{n}" for n in ("adding", "uea", "penn_treebank")} <= set(OURS)
    assert set(OURS) <= set(tfds.list_builders(with_community_datasets=False))


@pytest.mark.parametrize("name", OURS)
def test_each_says_what_it_is(name, tmp_path):
    configs = tfds.builder_cls(name).BUILDER_CONFIGS or [None]
    for config in configs:
        builder = tfds.builder(name, config=config, data_dir=tmp_path)
        info = builder.info
        assert len(info.description) > 60 and info.citation.startswith("@")
        assert info.homepage.startswith("http") and info.redistribution_info.license
        assert str(info.version) == "1.0.0" and builder.release_notes["1.0.0"]
        assert all(key in info.features for key in info.supervised_keys)
        for feature in info.features.values():
            if isinstance(feature, tfds.features.ClassLabel):
                assert len(set(feature.names)) == feature.num_classes > 1


SCRIPT = """
import sys, tempfile
from keras_rnnx import datasets
with tempfile.TemporaryDirectory() as folder:
    builder = datasets.prepare("rnnx_adding", data_dir=folder, length=6, train=4)
    assert len(datasets.read(builder, "train")["target"]) == 4
    assert builder.info.splits["test"].num_examples == 1000
assert "torch" in sys.modules and "tensorflow" not in sys.modules
"""


def test_nothing_needs_tensorflow():
    """In a process of its own: preparing and reading on torch import no TensorFlow."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"KERAS_BACKEND": "torch"},
        cwd=pathlib.Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", ["adding", "temporal_order"])
def test_a_drawn_set_equals_the_task(name, tmp_path):
    options = {"length": 20, "train": 7, "validation": 5, "test": 3, "seed": 4}
    task = load_task(name, **options)
    builder = prepare(f"rnnx_{name}", data_dir=tmp_path, **options)
    keys = builder.info.supervised_keys
    for part in ("train", "validation", "test"):
        found = read(builder, part)
        expected = getattr(task, part)
        np.testing.assert_array_equal(np.stack(found[keys[0]]), expected.x)
        np.testing.assert_array_equal(np.stack(found[keys[1]]), expected.y)


def test_digits_equal_the_task_and_noise_follows_them(tmp_path):
    builder = prepare("rnnx_sequential_digits", data_dir=tmp_path, seed=2)
    padded = prepare("rnnx_noise_padded_digits", data_dir=tmp_path, seed=2, length=20)
    task = load_task("digits", seed=2)
    for part in ("train", "validation", "test"):
        expected = getattr(task, part)
        found, noisy = read(builder, part), read(padded, part)
        np.testing.assert_array_equal(np.stack(found["sequence"]), expected.x)
        np.testing.assert_array_equal(found["label"], expected.y)
        rows = np.stack(noisy["sequence"])
        np.testing.assert_array_equal(rows[:, :8].reshape(-1, 64, 1), expected.x)
        np.testing.assert_array_equal(noisy["label"], expected.y)
        assert rows.shape[1:] == (20, 8) and abs(rows[:, 8:].std() - 1) < 0.05


def test_other_drawn_sets_equal_their_functions(tmp_path):
    from keras_rnnx.datasets import drawn

    few = {"train": 3, "validation": 2, "test": 2, "seed": 9}
    cases = {
        "copy_memory": ({"length": 5, "symbols": 4, "copied": 3}, drawn.copy_memory),
        "mackey_glass": ({"length": 9, "horizon": 4, "delay": 20}, drawn.mackey_glass),
        "lorenz": ({"length": 9, "horizon": 4}, drawn.lorenz),
        "parity": ({"length": 9}, drawn.parity),
        "temporal_order": ({"length": 10, "relevant": 3}, drawn.temporal_order),
    }
    for name, (options, draw) in cases.items():
        builder = prepare(f"rnnx_{name}", data_dir=tmp_path, **few, **options)
        for number, part in enumerate(("train", "validation", "test")):
            random = np.random.default_rng((9, number))
            expected = draw(random, few[part], **options)
            found = read(builder, part)
            for key, values in zip(builder.info.supervised_keys, expected):
                np.testing.assert_array_equal(np.stack(found[key]), values)


def test_a_configuration_is_named_by_what_differs(tmp_path):
    config = builders.AddingConfig(length=123, seed=3)
    assert config.name == "length_123_seed_3"
    builder = tfds.builder("rnnx_adding", config=config, data_dir=tmp_path)
    assert builder.info.features["sequence"].shape == (123, 2)
    # What has a name already is that configuration.
    same = builders.AddingConfig(length=400)
    builder = tfds.builder("rnnx_adding", config=same, data_dir=tmp_path)
    assert builder.info.full_name == "rnnx_adding/length_400/1.0.0"
    for wrong in ({"length": 0}, {"train": 2.5}, {"seed": -1}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be an int"):
            builders.AddingConfig(**wrong)


def test_what_is_prepared_is_kept(tmp_path):
    few = {"length": 6, "train": 3, "validation": 2, "test": 2}
    first = prepare("rnnx_parity", data_dir=tmp_path, **few)
    files = {p: p.stat().st_mtime_ns for p in pathlib.Path(first.data_dir).iterdir()}
    again = prepare("rnnx_parity", data_dir=tmp_path, **few)
    assert again.data_dir == first.data_dir and len(files) > 3
    assert files == {p: p.stat().st_mtime_ns for p in files}


def test_parts_of_parts_are_read(tmp_path):
    builder = prepare("rnnx_parity", data_dir=tmp_path, length=6, train=2_005, test=1)
    whole = read(builder, "train")
    assert len(whole["label"]) == 2_005
    part = read(builder, "train[500:1700]")
    np.testing.assert_array_equal(part["sequence"], whole["sequence"][500:1700])
    np.testing.assert_array_equal(part["label"], whole["label"][500:1700])
    assert len(read(builder, "train[:1%]+test")["label"]) == 21
    # What is read may be written to.
    whole["sequence"][0] += 1
    with pytest.raises(ValueError, match="'tset'.*Did you mean 'test'"):
        read(builder, "tset")


class Interrupted(builders.Adding):
    """Adding, whose preparation may be stopped by an error."""

    name = "adding_interrupted_by_tests"
    error = None

    def _generate_examples(self, part):
        for row, example in super()._generate_examples(part):
            if row == 5 and self.error is not None:
                raise self.error
            yield row, example


@pytest.mark.parametrize(
    "error,raised,said",
    [
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
        (MemoryError("no more"), MemoryError, "no more"),
        (OSError(errno.ENOSPC, "No space left"), OSError, "No space left to prepare"),
        (
            RuntimeError("write(): No space left on device"),
            OSError,
            "another `data_dir`",
        ),
    ],
)
def test_nothing_of_a_failed_attempt_is_used(
    error, raised, said, tmp_path, monkeypatch
):
    few = {"length": 6, "train": 8, "validation": 6, "test": 6}
    monkeypatch.setattr(Interrupted, "error", error)
    with pytest.raises(raised, match=said) as caught:
        prepare("adding_interrupted_by_tests", data_dir=tmp_path, **few)
    if said.startswith("No space"):
        assert caught.value.errno == errno.ENOSPC
        assert str(tmp_path) in str(caught.value)
    monkeypatch.setattr(Interrupted, "error", None)
    # What a killed process leaves behind, which TFDS could not tidy up.
    builder = tfds.builder(
        "adding_interrupted_by_tests",
        config=builders.AddingConfig(**few),
        data_dir=tmp_path / "array_record",
    )
    left = builder.data_path.parent / f"incomplete.ABCDEF_{builder.data_path.name}"
    assert list(builder.data_path.parent.iterdir()) == []
    left.mkdir()
    (left / "adding-train.array_record-00000-of-00001").write_bytes(b"half")
    with pytest.raises(ValueError, match="is not prepared in array_record"):
        read(builder)
    builder = prepare("adding_interrupted_by_tests", data_dir=tmp_path, **few)
    task = load_task("adding", **few)
    np.testing.assert_array_equal(np.stack(read(builder)["target"]), task.train.y)


def test_wrong_names_come_with_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="'rnnx_ading'.*Did you mean 'rnnx_adding'"):
        prepare("rnnx_ading", data_dir=tmp_path)
    with pytest.raises(ValueError, match="'length_41'.*Did you mean 'length_400'"):
        prepare("rnnx_adding/length_41", data_dir=tmp_path)
    with pytest.raises(ValueError, match="'lenght'.*Did you mean 'length'"):
        prepare("rnnx_adding", data_dir=tmp_path, lenght=3)
    with pytest.raises(ValueError, match="there are no options, received seed"):
        prepare("rnnx_adding/length_400", data_dir=tmp_path, seed=3)
    with pytest.raises(ValueError, match="rnnx_trec has no options, received seed"):
        prepare("rnnx_trec", data_dir=tmp_path, seed=3)
    with pytest.raises(ValueError, match="`by` is 'rows' or 'pixels'"):
        prepare("rnnx_noise_padded_digits", data_dir=tmp_path, by="columns")
    with pytest.raises(FileNotFoundError, match="`manual_dir` is no folder: .*nowhere"):
        prepare("rnnx_trec", data_dir=tmp_path, manual_dir=tmp_path / "nowhere")


@pytest.mark.parametrize("absent", ["tensorflow_datasets", "array_record"])
def test_what_is_not_installed_is_named(absent, monkeypatch, tmp_path):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == absent else real(name)
    )
    named = {"tensorflow_datasets": "keras-rnnx.datasets", "array_record": "on Linux"}
    with pytest.raises(ImportError, match=named[absent]):
        prepare("rnnx_adding", data_dir=tmp_path)


def test_a_set_of_other_people_is_read(tmp_path):
    """Features that ours do not have: nested, texts of tensors, sequences of texts."""

    class OfOthers(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(
                    {
                        "words": tfds.features.Sequence(tfds.features.Text()),
                        "word": tfds.features.Tensor(shape=(), dtype=np.str_),
                        "tags": tfds.features.Sequence(
                            tfds.features.ClassLabel(names=["N", "V"])
                        ),
                        "both": {"de": tfds.features.Text(), "n": np.int64},
                    }
                ),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for row, words in enumerate((["für", "dich"], ["so"])):
                yield (
                    row,
                    {
                        "words": words,
                        "word": words[0],
                        "tags": ["V"] * len(words),
                        "both": {"de": words[-1], "n": row},
                    },
                )

    found = read(prepare("of_others", data_dir=tmp_path))
    assert found["words"] == [["für", "dich"], ["so"]]
    assert found["word"] == ["für", "so"]
    assert [tags.tolist() for tags in found["tags"]] == [[1, 1], [1]]
    assert found["both"] == [{"de": "dich", "n": 0}, {"de": "so", "n": 1}]


def test_formats_lie_beside_each_other(tmp_path):
    """What tfds.load would look for is not taken up, and what can be read is read."""
    few = {"length": 6, "train": 3, "validation": 2, "test": 2}
    ours = prepare("rnnx_parity", data_dir=tmp_path, **few)
    assert ours.data_dir.startswith(str(tmp_path / "array_record"))
    of_tfds = tfds.builder("rnnx_parity", config=ours.builder_config, data_dir=tmp_path)
    assert not of_tfds.data_path.exists()
    with pytest.raises(ValueError, match="is not prepared in array_record"):
        read(of_tfds)
    of_tfds.download_and_prepare(file_format="array_record")
    again = prepare("rnnx_parity", data_dir=tmp_path, **few)
    assert again.data_dir == of_tfds.data_dir != ours.data_dir
    # As tfds.load on TensorFlow prepares it, which TensorFlow has to write.
    info = pathlib.Path(of_tfds.data_dir) / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    again = prepare("rnnx_parity", data_dir=tmp_path, **few)
    assert again.data_dir == ours.data_dir


def test_music_is_read_from_both_forms(tmp_path):
    rolls = raw_data.rolls()
    raw_data.write_mat(tmp_path / "JSB_Chorales.mat", rolls)
    (tmp_path / "deeper").mkdir()
    raw_data.write_packed(tmp_path / "deeper" / "nottingham.npz", rolls)
    for name in ("rnnx_jsb_chorales", "rnnx_nottingham"):
        builder = prepare(name, data_dir=tmp_path / "data", manual_dir=tmp_path)
        for part, key in {
            "train": "train",
            "validation": "valid",
            "test": "test",
        }.items():
            found = read(builder, part)["sequence"]
            assert sorted(roll.tobytes() for roll in found) == sorted(
                roll.tobytes() for roll in rolls[key]
            )
            assert all(roll.shape[1] == 88 and roll.flags.writeable for roll in found)


def test_public_names_are_there():
    assert datasets.prepare is prepare and datasets.read is read
    assert set(builders.__all__) <= set(dir(builders))
