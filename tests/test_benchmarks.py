"""The command of the benchmarks: it measures, and shows what it kept."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest

from benchmarks import run as command
from benchmarks import suites

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize(
    "suite", ["layers", "methods", "elementwise", "memory", "workflow"]
)
def test_a_suite_measures_keeps_and_shows(suite, tmp_path):
    name = {"methods": "LSTM", "elementwise": "ugrnn"}.get(suite, "SimpleRNN")
    size = ("--sizes", "2,3,2,2", "--seconds", "0")
    table = run("--suite", suite, *size, "--layers", name, "--out", tmp_path)
    (kept,) = tmp_path.glob("*.json")
    rows = json.loads(kept.read_text())["rows"]
    assert rows and all(row["size"] == [2, 3, 2, 2] for row in rows)
    assert all(row["layer"].split(",")[0] == name for row in rows)
    assert kept.with_suffix(".png").stat().st_size
    shown = run("--show", kept)
    assert shown.strip() and shown.strip() in table


def test_a_table_shows_the_figures_that_are_kept(tmp_path, monkeypatch, capsys):
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
    given = ["--suite", "methods", "--sizes", "2,3,2,2", "--layers", "LSTM"]
    monkeypatch.setattr(sys, "argv", ["run", *given, "--out", str(tmp_path)])
    command.main()
    table = capsys.readouterr().out
    (kept,) = tmp_path.glob("*.json")
    monkeypatch.setattr(sys, "argv", ["run", "--show", str(kept)])
    command.main()
    assert "7.11" in table
    assert capsys.readouterr().out.strip() in table


def run(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
