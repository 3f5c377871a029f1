"""The command of the benchmarks: it measures, and shows what it kept."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("suite", ["layers", "methods", "elementwise", "memory"])
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


def run(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
