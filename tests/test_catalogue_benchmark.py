"""The comparison of all cells: what is chosen, what is run again, what pages say."""

import dataclasses
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
# Scores of fake trials on the part for validation, by start and rate.
VALIDATION = {("default", 0.006): 0.5, ("chrono", 0.02): 0.9}
CHOSEN = ("chrono", 0.02)
# Those of the runs that are tested, by seed. The chosen setting tests worst.
TEST = [0.25, 0.30, 0.35, 0.40, 0.45]


@pytest.fixture
def modules(monkeypatch):
    """The modules of the benchmark, by name."""
    monkeypatch.syspath_prepend(ROOT)

    def module(name):
        return importlib.import_module(f"benchmarks.catalogue.{name}")

    return module


class Benchmark:
    """The command, with runs that are not trained but counted."""

    def __init__(self, command, out):
        self.command, self.out = command, out
        self.trained, self.failing, self.diverging = [], set(), set()
        self.cut_off_after = None

    def train(self, trial, part, seed, units, budget):
        if len(self.trained) == self.cut_off_after:
            raise KeyboardInterrupt
        self.trained.append((trial, part, seed, budget))
        if trial.cell in self.failing:
            raise RuntimeError("no such luck")
        setting = (trial.start, trial.rate)
        if part == "validation":
            score = VALIDATION.get(setting, 0.4)
        else:
            score = TEST[seed] if setting == CHOSEN else 0.99
        if trial.task == "adding":
            score = round(1 - score, 4)
        bad = bool({(trial.cell, part), (trial.cell, seed)} & self.diverging)
        return {
            "parameters": 1234,
            "engine": "fused",
            "updates": 10 + seed % 5,
            "step_ms": 2.0,
            "status": "diverged" if bad else "trained",
            "loss": None if bad else 1.0,
            "score": None if bad else score,
        }

    def __call__(self, *arguments):
        self.trained.clear()
        page = self.out / "docs" / "cells" / "c.md"
        figure = self.out / "docs" / "images" / "c.svg"
        places = ["--out", self.out, "--page", page, "--figure", figure]
        status = self.command.main([*arguments, *map(str, places)])
        return status, page.read_text() if page.exists() else ""

    @property
    def tested(self):
        """Cell, task and seed of the runs that were tested."""
        return [(t.cell, t.task, s) for t, p, s, _ in self.trained if p == "test"]

    @property
    def searched(self):
        """Cell and task of each trial of a search."""
        return [(t.cell, t.task) for t, p, *_ in self.trained if p == "validation"]

    @property
    def kept(self):
        """The runs in the file."""
        (path,) = self.out.glob("catalogue-*.json")
        return json.loads(path.read_text())["runs"]


@pytest.fixture
def benchmark(modules, monkeypatch, tmp_path):
    found = Benchmark(modules("__main__"), tmp_path)
    monkeypatch.setattr(modules("runs"), "train", found.train)
    return found


def row(page, cell, task):
    """The columns of a cell in the table of a task."""
    table = page.split(f"## {task.capitalize()}\n")[1].split("\n## ")[0]
    (line,) = [n for n in table.splitlines() if n.startswith(f"| [`{cell}`]")]
    return [column.strip() for column in line.strip("|").split("|")]


def test_validation_chooses_the_setting_and_test_never_does(benchmark):
    assert benchmark("--cells", "lstm")[0] == 0
    for task in ("digits", "adding"):
        runs = [run for run in benchmark.trained if run[0].task == task]
        searched, tested = runs[:6], runs[6:]
        assert {part for _, part, *_ in searched} == {"validation"}
        assert {part for _, part, *_ in tested} == {"test"}
        # Another setting has the best scores of all on the test part.
        assert {(t.start, t.rate) for t, *_ in tested} == {CHOSEN}
        seeds = [{seed for *_, seed, _ in some} for some in (searched, tested)]
        assert len(seeds[0]) == 1 and not seeds[0] & seeds[1] and len(seeds[1]) == 3


def test_a_choice_between_equal_scores_is_by_the_loss(modules):
    def run(rate, score, loss):
        setting = {"cell": "lstm", "task": "digits", "start": "default", "rate": rate}
        return {**setting, "score": score, "loss": loss}

    chosen = modules("trials").chosen
    runs = [run(1e-3, 0.8, 0.5), run(3e-3, 0.9, 0.4), run(1e-2, 0.9, 0.3)]
    assert chosen(runs).rate == 1e-2
    assert chosen([*runs[:2], run(1e-2, None, None)]).rate == 3e-3
    assert chosen([run(1e-3, None, None), run(3e-3, None, None)]).rate == 1e-3


def test_every_cell_gets_as_many_trials_over_the_same_rates(modules):
    trials, names = modules("trials"), modules("runs").names(None)
    assert len(names) > 40 and names == sorted(names)
    for name in names:
        settings = trials.of(name, "digits")
        rates = {trial.rate for trial in settings}
        assert len(set(settings)) == 6
        assert (min(rates), max(rates)) == (2e-3, 2e-2)
    starts = {name: trials.starts(name) for name in names}
    assert starts["lstm"] == starts["min_gru"] == ["default", "chrono"]
    assert starts["leaky_rnn"] == ["default", "leaky"]
    assert starts["ind_rnn"] == ["default", "indrnn"]
    # With its recipes it is a cell that has a row of its own.
    assert starts["simple_rnn"] == ["default"] and {"irnn", "np_rnn"} <= set(names)


def test_the_page_has_mean_and_spread_over_the_seeds(benchmark):
    status, page = benchmark("--cells", "lstm", "--seeds", "3")
    scores = [100 * score for score in TEST[:3]]
    mean, spread = np.mean(scores), np.std(scores, ddof=1)
    assert row(page, "lstm", "digits") == [
        "[`lstm`](lstm.md)",
        f"{mean:.1f} ± {spread:.1f} %",
        "chrono, 0.02",
        "2",
        "11",
        "1,234",
        "`fused`",
    ]
    assert row(page, "lstm", "adding")[1] == "0.7000 ± 0.0500"
    assert "trained anew 3 times, with 3 seeds, for\n  8 seconds of CPU time" in page
    status, page = benchmark("--cells", "lstm", "--seeds", "1")
    assert status == 0 and benchmark.trained == []
    assert row(page, "lstm", "digits")[1] == f"{mean:.1f} ± {spread:.1f} %"


def test_one_run_has_no_spread(benchmark):
    page = benchmark("--cells", "lstm", "--seeds", "1")[1]
    assert row(page, "lstm", "digits")[1] == "25.0 %"
    assert "trained anew once, for" in page


def test_rows_stand_by_name_whatever_the_scores(benchmark):
    benchmark.diverging.add(("gru", "test"))
    page = benchmark("--cells", "simple_rnn,gru,lstm,atr")[1]
    listed = re.findall(r"^\| \[`(\w+)`\]", page, re.MULTILINE)
    assert listed == 2 * ["atr", "gru", "lstm", "simple_rnn"]
    assert "Not run: `antisymmetric_rnn`" in page and "`lstm`," not in page


def test_the_page_says_what_diverged(benchmark):
    benchmark.diverging |= {("lstm", 1), ("gru", "test"), ("atr", "validation")}
    page = benchmark("--cells", "lstm,gru,atr")[1]
    assert row(page, "lstm", "digits")[1] == "30.0 ± 7.1 % (diverged in 1 of 3)"
    assert row(page, "gru", "digits")[1] == "diverged in 3 of 3"
    assert row(page, "atr", "digits")[2] == "default, 0.002 (6 of 6 trials diverged)"


def test_a_command_that_was_cut_off_goes_on_and_repeats_nothing(benchmark):
    benchmark("--cells", "lstm,gru")
    whole = benchmark.kept
    assert len(whole) == 2 * 2 * (6 + 3)
    next(benchmark.out.glob("catalogue-*.json")).unlink()
    done = []
    # In a search, at its end, between seeds, at the end of all.
    for count in (4, 2, 2, 20, 100):
        benchmark.cut_off_after = count
        try:
            benchmark("--cells", "lstm,gru")
        except KeyboardInterrupt:
            assert len(benchmark.trained) == count
        done += benchmark.trained
        assert len(benchmark.kept) == len(done)
    assert len(done) == len(set(done)) == len(whole)
    assert benchmark.kept == whole


def test_more_cells_tasks_and_seeds_are_added(benchmark):
    assert benchmark("--cells", "lstm", "--tasks", "adding", "--seeds", "1")[0] == 0
    assert benchmark.tested == [("lstm", "adding", 0)]
    assert benchmark.searched == 6 * [("lstm", "adding")]
    benchmark("--cells", "lstm", "--tasks", "adding", "--seeds", "2")
    assert benchmark.tested == [("lstm", "adding", 1)] and not benchmark.searched
    status, page = benchmark("--cells", "lstm,gru", "--seeds", "1")
    assert set(benchmark.searched) == {
        ("lstm", "digits"),
        ("gru", "digits"),
        ("gru", "adding"),
    }
    status, again = benchmark("--show")
    assert (status, benchmark.trained, again) == (0, [], page)


def test_budgets_are_those_of_the_command(benchmark):
    benchmark("--cells", "lstm", "--budget", "7", "--search-budget", "2", "--seeds=5")
    budgets = {part: budget for _, part, _, budget in benchmark.trained}
    assert budgets == {"validation": 2.0, "test": 7.0}
    assert [seed for *_, seed in benchmark.tested] == 2 * [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--budget", "4"], "with budget 8.0, and this is 4.0"),
        (["--search-budget", "1"], "with search_budget 2.0, and this is 1.0"),
        (["--units", "32"], "with units 64, and this is 32"),
    ],
)
def test_runs_that_are_not_to_be_compared_are_refused(
    option, message, benchmark, capsys
):
    assert benchmark("--cells", "lstm")[0] == 0
    assert benchmark("--cells", "gru", *option)[0] == 2
    assert benchmark.trained == [] and message in capsys.readouterr().err


def test_a_cell_that_fails_is_said_and_tried_again(benchmark, capsys):
    benchmark.failing.add("gru")
    status, page = benchmark("--cells", "gru,lstm")
    assert status == 1
    assert ("lstm", "digits", 0) in benchmark.tested and "[`gru`]" not in page
    error = capsys.readouterr().err
    assert "no such luck" in error and "failed: gru (digits), gru (adding)" in error
    benchmark.failing.clear()
    status, page = benchmark("--cells", "gru,lstm")
    assert status == 0 and {trial.cell for trial, *_ in benchmark.trained} == {"gru"}
    assert "[`gru`]" in page


def test_the_figure_is_beside_the_page(benchmark):
    benchmark.diverging |= {("lstm", 1), ("gru", "test")}
    page = benchmark("--cells", "gru,lstm,atr")[1]
    assert "](../images/c.svg)" in page
    assert (benchmark.out / "docs" / "images" / "c.svg").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cells", "lstn"], "'lstn'.*Did you mean 'lstm'"),
        (["--tasks", "sums"], "'sums' is not a task.*digits, adding"),
        (["--show"], "Nothing is kept"),
    ],
)
def test_a_request_that_cannot_be_is_an_error(arguments, message, benchmark, capsys):
    assert benchmark(*arguments) == (2, "")
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--budget", "0"],
        ["--budget", "nan"],
        ["--search-budget", "-1"],
        ["--seeds", "0"],
        ["--units", "0"],
    ],
)
def test_a_number_out_of_range_is_refused(arguments, benchmark, capsys):
    with pytest.raises(SystemExit):
        benchmark(*arguments)
    assert arguments[0] in capsys.readouterr().err


@pytest.fixture
def short(modules, monkeypatch):
    """Short tasks, and how to spoil one part of their data."""
    tasks = modules("tasks")
    options = {"length": 8, "train": 128, "validation": 64, "test": 64}
    setting = dataclasses.replace(tasks.TASKS["adding"], options=options)
    monkeypatch.setitem(tasks.TASKS, "adding", setting)
    original = tasks.data.__wrapped__

    def spoil(part):
        task = original("adding")
        split = getattr(task, part)
        spoiled = split._replace(y=np.full_like(split.y, np.nan))
        task = dataclasses.replace(task, **{part: spoiled})
        monkeypatch.setattr(modules("runs"), "data", lambda name: task)

    modules("runs")._compiled.cache_clear()
    yield spoil
    modules("runs")._compiled.cache_clear()


def test_a_trial_never_reads_the_part_for_test(short, modules):
    short("test")
    trial = modules("trials").Trial("gru", "adding", *CHOSEN)

    def train(part, seed):
        return modules("runs").train(trial, part, seed, units=4, budget=1e-9)

    found = train("validation", 0)
    # Another run of the same model does not begin where this one ended.
    assert train("validation", 0)["score"] == found["score"]
    assert train("validation", 1)["score"] != found["score"]
    assert found["status"] == "trained" and found["updates"] == 1
    assert np.isfinite(found["score"]) and found["score"] == found["loss"]
    assert train("test", 0)["status"] == "diverged"


def test_a_run_that_diverges_ends_and_has_no_score(short, modules):
    short("train")
    trial = modules("trials").Trial("simple_rnn", "adding", "default", 0.01)
    found = modules("runs").train(trial, "test", seed=0, units=4, budget=60)
    assert found["status"] == "diverged" and found["updates"] == 1
    assert found["score"] is None and found["loss"] is None
