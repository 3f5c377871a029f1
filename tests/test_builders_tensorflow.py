"""Builders on TensorFlow: TFDS' own test of a builder, and tfds.load."""

import pathlib
import tempfile

import numpy as np
import raw_data
import tensorflow_datasets as tfds

from keras_rnnx.datasets import builders, load_task, prepare, read

# TFDS' test wants a folder with small raw files, of a builder that reads none too.
NOWHERE = tempfile.TemporaryDirectory()


class TestAdding(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = builders.Adding
    BUILDER_CONFIG_NAMES_TO_TEST = [
        builders.AddingConfig(length=9, train=6, validation=4, test=3)
    ]
    SPLITS = {"train": 6, "validation": 4, "test": 3}
    EXAMPLE_DIR = NOWHERE.name


class TestJsbChorales(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = builders.JsbChorales
    SPLITS = {"train": 3, "validation": 2, "test": 2}

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.EXAMPLE_DIR = cls.folder.name
        path = pathlib.Path(cls.EXAMPLE_DIR) / "JSB_Chorales.mat"
        raw_data.write_mat(path, raw_data.rolls())
        super().setUpClass()


class TestUea(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = builders.Uea
    BUILDER_CONFIG_NAMES_TO_TEST = ["JapaneseVowels"]
    SPLITS = {"train": 9, "test": 5}

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.EXAMPLE_DIR = cls.folder.name
        for part, count in (("TRAIN", 9), ("TEST", 5)):
            lengths = range(7, 7 + count)
            rows = raw_data.series(12, lengths, "123456789", seed=count)
            path = pathlib.Path(cls.EXAMPLE_DIR) / f"JapaneseVowels_{part}.ts"
            path.write_text(raw_data.ts(rows, "123456789"))
        super().setUpClass()


def test_tfds_load_gives_what_read_gives(tmp_path):
    """As tfrecord, which TensorFlow reads, and as array_record, which all read."""
    data = tfds.load("rnnx_parity/length_10", data_dir=tmp_path, as_supervised=True)
    pairs = list(data["validation"].as_numpy_iterator())
    builder = prepare("rnnx_parity/length_10", data_dir=tmp_path)
    found = read(builder, "validation")
    assert builder.data_dir.startswith(str(tmp_path / "array_record"))
    np.testing.assert_array_equal([x for x, _ in pairs], found["sequence"])
    np.testing.assert_array_equal([y for _, y in pairs], found["label"])
    assert set(data) == {"train", "validation", "test"}


def test_ragged_music_on_tensorflow(tmp_path):
    rolls = raw_data.rolls()
    raw_data.write_mat(tmp_path / "Nottingham.mat", rolls)
    config = tfds.download.DownloadConfig(manual_dir=tmp_path)
    data = tfds.load(
        "rnnx_nottingham",
        data_dir=tmp_path / "data",
        split="train",
        download_and_prepare_kwargs={"download_config": config},
    )
    assert data.element_spec["sequence"].shape.as_list() == [None, 88]
    found = [example["sequence"].tobytes() for example in data.as_numpy_iterator()]
    assert sorted(found) == sorted(roll.tobytes() for roll in rolls["train"])


def test_as_dataset_has_the_numbers_of_the_task(tmp_path):
    """In their order, too."""
    config = builders.AddingConfig(length=7, train=8, validation=2, test=2)
    builder = tfds.builder("rnnx_adding", config=config, data_dir=tmp_path)
    builder.download_and_prepare()
    data = builder.as_dataset(split="train", as_supervised=True).batch(8)
    ((x, y),) = data.as_numpy_iterator()
    task = load_task("adding", length=7, train=8, validation=2, test=2)
    np.testing.assert_array_equal(x, task.train.x)
    np.testing.assert_array_equal(y, task.train.y)
