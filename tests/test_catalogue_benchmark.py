"""The comparison of all cells: what is kept, what is run again, what the page says."""

import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def benchmark(monkeypatch, tmp_path):
    """The command, with runs that are not trained but counted."""
    monkeypatch.syspath_prepend(ROOT)
    command = importlib.import_module("benchmarks.catalogue.__main__")
    runs = importlib.import_module("benchmarks.catalogue.runs")
    trained = []

    def train(cell, task, seed, units, budget):
        trained.append((cell, task, seed))
        if cell == "gru" and "gru" in failing:
            raise RuntimeError("no such luck")
        score = None if (cell, seed) == ("lstm", 1) else 0.25 + seed
        return {
            "parameters": 1234,
            "engine": "fused",
            "updates": 10 + seed,
            "step_ms": 2.0,
            "status": "trained" if score else "diverged",
            "score": score,
        }

    failing = set()
    monkeypatch.setattr(runs, "train", train)

    def run(*arguments):
        trained.clear()
        page = tmp_path / "page" / "c.md"
        places = ["--out", str(tmp_path), "--page", str(page)]
        status = command.main([*arguments, *places])
        return status, list(trained), page.read_text() if page.exists() else ""

    run.failing = failing
    return run


def test_runs_are_kept_and_not_repeated(benchmark, tmp_path):
    request = ("--budget", "3", "--tasks", "adding,digits")
    status, trained, page = benchmark(*request, "--cells", "lstm", "--seeds=2")
    assert status == 0
    assert trained == [("lstm", t, s) for t in ("adding", "digits") for s in (0, 1)]
    row = "| [`lstm`](lstm.md) | 1,234 | `fused` | 0.2500 (1 of 2 diverged) | 2 | 10 |"
    assert f"{row} 25.0% (1 of 2 diverged) | 2 | 10 |" in page
    assert "for 3 seconds of CPU time on each task, 2 runs with different seeds" in page
    assert "Not run: `simple_rnn`" in page and "`lstm`," not in page
    (kept,) = tmp_path.glob("catalogue-*.json")
    assert len(json.loads(kept.read_text())["runs"]) == 4
    status, trained, page = benchmark(*request, "--cells", "lstm,gru")
    assert trained == [("gru", "adding", 0), ("gru", "digits", 0)]
    status, trained, page = benchmark("--budget", "3", "--cells", "lstm")
    assert trained == [("lstm", "long adding", 0)]
    assert "long adding: error" in page
    status, trained, again = benchmark("--show")
    assert (status, trained, again) == (0, [], page)


def test_runs_that_are_not_to_be_compared_are_refused(benchmark, capsys):
    assert benchmark("--budget", "3", "--cells", "lstm")[0] == 0
    assert benchmark("--budget", "4", "--cells", "gru")[:2] == (2, [])
    assert "with budget 3.0, and this is 4.0" in capsys.readouterr().err
    assert benchmark("--budget", "3", "--units", "32", "--cells", "gru")[0] == 2
    assert "with units 64, and this is 32" in capsys.readouterr().err


def test_a_cell_that_fails_is_said_and_tried_again(benchmark, capsys):
    benchmark.failing.add("gru")
    status, trained, page = benchmark("--budget", "3", "--cells", "gru,lstm")
    assert status == 1
    assert ("lstm", "digits", 0) in trained and "[`gru`]" not in page
    error = capsys.readouterr().err
    assert "no such luck" in error and "failed: gru (adding, seed 0)" in error
    benchmark.failing.clear()
    status, trained, page = benchmark("--budget", "3", "--cells", "gru,lstm")
    assert status == 0 and {cell for cell, *_ in trained} == {"gru"}
    assert "[`gru`]" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cells", "lstn", "--budget", "1"], "'lstn'.*Did you mean 'lstm'"),
        (["--tasks", "sums", "--budget", "1"], "'sums' is not a task.*long adding"),
        (["--show"], "Nothing is kept"),
    ],
)
def test_a_request_that_cannot_be_is_an_error(arguments, message, benchmark, capsys):
    assert benchmark(*arguments) == (2, [], "")
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error)


@pytest.mark.parametrize("arguments", [[], ["--budget", "0"], ["--budget", "nan"]])
def test_a_budget_is_needed(arguments, benchmark, capsys):
    with pytest.raises(SystemExit):
        benchmark(*arguments)
    assert "--budget" in capsys.readouterr().err
