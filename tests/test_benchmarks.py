"""The command of the benchmarks: it measures, and shows what it kept."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest

from benchmarks import diagnosis, suites
from benchmarks import run as command

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def called(monkeypatch, capsys):
    """A function that runs the command with arguments, and returns what it prints."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["run", *map(str, arguments)])
        command.main()
        return capsys.readouterr().out

    return call


@pytest.mark.parametrize(
    "suite", ["layers", "methods", "elementwise", "memory", "workflow", "streaming"]
)
def test_a_suite_measures_keeps_and_shows(suite, tmp_path, called):
    name = {"methods": "LSTM", "elementwise": "ugrnn"}.get(suite, "SimpleRNN")
    size = ("--sizes", "2,3,2,2", "--seconds", "0")
    table = called("--suite", suite, *size, "--layers", name, "--out", tmp_path)
    (kept,) = tmp_path.glob("*.json")
    rows = json.loads(kept.read_text())["rows"]
    assert rows and all(row["size"] == [2, 3, 2, 2] for row in rows)
    assert all(row["layer"].split(",")[0] == name for row in rows)
    assert kept.with_suffix(".png").stat().st_size
    shown = called("--show", kept)
    assert shown.strip() and shown.strip() in table


def test_a_table_shows_the_figures_that_are_kept(tmp_path, monkeypatch, called):
    # Their ratio is 7.115 and a little; that of the five digits that are kept is less.
    times = {"regularized": 0.9388796454809226, "plain": 0.13195624001694503}
    measured = dataclasses.replace(
        suites.SUITES["methods"],
        measure=lambda name, size, seconds: {
            "layer": name,
            "size": list(size),
            **dict.fromkeys(suites.PASSES, times),
        },
    )
    monkeypatch.setitem(suites.SUITES, "methods", measured)
    given = ("--suite", "methods", "--sizes", "2,3,2,2", "--layers", "LSTM")
    table = called(*given, "--out", tmp_path)
    (kept,) = tmp_path.glob("*.json")
    assert "7.11" in table
    assert called("--show", kept).strip() in table


def test_it_runs_as_a_module():
    """With the environment that it sets before a backend is imported."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "--layers", "nothing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "--layers: received nothing, which this suite does not have" in done.stderr


def test_a_diagnosis_is_timed_beside_training_steps(monkeypatch, capsys):
    arguments = ["diagnosis", "--layer", "GRU", "--depth", "1", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--size", "4", "3", "2", "2"])
    diagnosis.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 GRU of 2 units, batch 4, 3 steps; ")
    for name in ("a training step", "keras_rnnx.diagnose", "callbacks.Monitor"):
        assert any(name in line for line in lines)


def test_denormal_numbers_are_timed_and_put_back(capsys):
    import torch

    from benchmarks import denormals

    denormals.main(["--steps", "5", "--units", "3", "--rounds", "1"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*denormals.LAYERS, "torch.nn.LSTM"))
    assert torch.tensor(1e-39) * 1.0 != 0, "torch computes as before"
