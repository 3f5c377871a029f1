"""The examples do what they say, in small."""

import pathlib

import numpy as np
import pages
import pytest
import raw_examples

FOLDER = pathlib.Path(__file__).parents[1] / "examples"


def load(name):
    return pages.load(FOLDER / f"{name}.py")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Where small raw files are, and where data sets are prepared."""
    raw = tmp_path_factory.mktemp("raw")
    with pytest.MonkeyPatch.context() as patch:
        raw_examples.unchecked(patch)
        raw_examples.write(raw)
        raw_examples.as_published(patch, "tiny_shakespeare", raw / "input.txt")
        yield {"manual_dir": raw, "data_dir": tmp_path_factory.mktemp("data")}


@pytest.mark.any_backend
def test_a_language_model_learns(tmp_path, monkeypatch):
    example = load("language_model")
    monkeypatch.setattr(example, "ROWS", 8)
    monkeypatch.setattr(example, "STEPS", 20)
    text = "all work and no play makes jack a dull boy\n" * 100
    first = example.main(text, tmp_path, epochs=1)
    assert first < np.log(len(set(text)))
    assert (tmp_path / "model.keras").exists()
    # Done means that the backup is gone, and training would start anew.
    assert not list(tmp_path.glob("backup/*"))


@pytest.mark.any_backend
def test_long_memory_names_every_layer():
    example = load("long_memory")
    errors = example.main(length=10, updates=20)
    assert list(errors) == list(example.LAYERS)
    assert all(np.isfinite(error) for error in errors.values())


def test_a_stream_is_the_sequence(capsys):
    load("streaming").main(steps=8, epochs=1)
    found = capsys.readouterr().out.split()
    assert float(found[-1]) < 1e-5


@pytest.mark.any_backend
def test_chorales_stand_beside_papers(folders, capsys):
    nll = load("chorales").main(units=8, epochs=6, **folders)
    # Less than that of notes that are on as often as off.
    assert 15 < nll < 88 * np.log(2)
    said = capsys.readouterr().out
    for line in ("gru, 2 x 8", "rate of each label", "8.430  GRU (Bai, Kolter"):
        assert line in said


@pytest.mark.any_backend
def test_vowels_are_told_apart(folders):
    assert load("vowels").main(units=16, epochs=4, **folders) > 0.5


@pytest.mark.any_backend
def test_questions_are_told_apart(folders):
    assert load("questions").main(units=32, epochs=6, **folders) > 0.5


@pytest.mark.any_backend
def test_digits_are_read_from_frames(folders):
    sizes = {"shortest": 2, "longest": 3, "train": 64, "validation": 8, "test": 8}
    rate = load("spoken_digits").main(units=8, epochs=2, **sizes, **folders)
    assert rate >= 0


@pytest.mark.any_backend
def test_letters_become_phones(folders):
    rates = load("pronunciation").main(units=16, epochs=3, **folders)
    assert 0 < rates["phone_error_rate"] < 2 and 0 < rates["word_error_rate"] <= 1


@pytest.mark.any_backend
def test_phones_are_compared_with_the_nearest_pronunciation(folders, monkeypatch):
    """One that is right by the second pronunciation of each word has no errors."""
    example = load("pronunciation")
    task = example.datasets.load_task("cmudict", **folders)
    builder = example.datasets.prepare("rnnx_cmudict", **folders)
    known = example.datasets.read(builder, "test")["pronunciations"]
    answers = iter([[task.target_vocabulary.encode(all_[-1]) for all_ in known]])
    monkeypatch.setattr(example.models, "decode", lambda *_, **__: (next(answers), 0))
    rates = example.error_rates(None, task, "test", **folders)
    assert any(len(all_) == 2 for all_ in known)
    assert rates == {"phone_error_rate": 0, "word_error_rate": 0}
    answers = iter([[task.target_vocabulary.encode(all_[0])[:-1] for all_ in known]])
    rates = example.error_rates(None, task, "test", **folders)
    assert rates == {"phone_error_rate": pytest.approx(1 / 3), "word_error_rate": 1}


@pytest.mark.any_backend
def test_words_are_found_in_letters(folders):
    example = load("word_boundaries")
    assert example.boundaries("to be it").tolist() == [1, 0, 1, 0, 1, 0]
    accuracies = example.main(units=8, sentences=20, epochs=2, **folders)
    assert 0 < min(accuracies.values()) <= 1 and list(accuracies) == ["softmax", "crf"]


@pytest.mark.any_backend
def test_shakespeare_goes_on(folders, capsys):
    nats = load("shakespeare").main(units=8, epochs=1, rows=2, steps=8, **folders)
    assert 0 < nats < 2 * np.log(30)
    said = capsys.readouterr().out
    assert "1.548  minGRU" in said and "frequency of each token" in said
    assert len(said.split("frequency of each token")[-1].strip("\n")) > 300


@pytest.mark.any_backend
def test_a_forecast_stands_beside_the_last_value(capsys):
    errors = load("forecast").main(units=8, steps=1500, epochs=1)
    assert errors["mean_squared_error"] < 2 and errors["mase"] > 0
    assert capsys.readouterr().out.count("last value") == 2
