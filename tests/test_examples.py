"""The examples do what they say, in small."""

import importlib.util
import pathlib

import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
