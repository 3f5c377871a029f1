"""The report of a search: what stands in it, and that a browser shows it."""

import html
import json
import math
import random
import re
import statistics
import sys
import xml.etree.ElementTree as ElementTree

import matplotlib
import pytest
from browser import browser, loads_nothing, needs_browser, show

from keras_rnnx._pages import numbers
from keras_rnnx.tuner import reporting
from keras_rnnx.tuner.reporting import _figures, _search, _study

pytestmark = pytest.mark.any_backend

SCORES = {"lstm": 0.955, "gru": 0.94, "leaky_rnn": 0.9, "min_gru": 0.93}


def leaderboard(count=12, seed=0, workers=2, epochs=40, cells=tuple(SCORES), seeds=3):
    """A search as it would be: noisy curves, a conditional space, all statuses."""
    draw = random.Random(seed)
    clock = [draw.uniform(0, 2) for _ in range(workers)]
    rows = []
    for number in range(1, count + 1):
        worker = clock.index(min(clock))
        row = trial(draw, number, cells, epochs)
        row |= {"began": clock[worker], "worker": f"worker{worker}"}
        clock[worker] += row["seconds"] + draw.uniform(0.2, 1)
        rows.append(row)
    rows.sort(
        key=lambda r: (r["status"] != "completed", -(r["score"] or 0), r["trial"])
    )
    for rank, row in enumerate(rows, start=1):
        row["rank"] = rank
        if rank <= 3 and row["status"] == "completed" and seeds > 1:
            row["seeds"] = [
                row["score"] + draw.gauss(-0.003, 0.004) for _ in range(seeds)
            ]
            row["mean"] = statistics.fmean(row["seeds"])
            row["spread"] = statistics.stdev(row["seeds"])
    best = rows[0]["score"] or 0
    return {
        "task": "digits",
        "description": "Handwritten digits, read row by row: which digit is it?",
        "objective": "val_accuracy",
        "direction": "max",
        "tuner": "random",
        "stopping": "median",
        "max_epochs": epochs,
        "workers": workers,
        "seconds": max(clock) + 3,
        "backend": "tensorflow",
        "versions": {"keras": "3.15.1", "tensorflow": "2.21.0", "python": "3.11.2"},
        "command": "keras-rnnx tune digits --dir demo --trials 60 --seed 7",
        "test": {"loss": 0.1712, "accuracy": best - 0.004},
        "test_runs": [
            {
                "loss": 0.17 + draw.gauss(0, 0.01),
                "accuracy": best + draw.gauss(0, 0.003),
            }
            for _ in range(seeds if seeds > 1 else 0)
        ],
        "code": "import keras\nimport keras_rnnx\n\nmodel = keras.Sequential([\n"
        "    keras.Input((None, 8)),\n    keras_rnnx.layers.LSTM(64),\n"
        "    keras.layers.Dense(10),\n])\n",
        "explain": "+--------+------+--------+\n| layer  | cell | engine |\n"
        "|--------+------+--------|\n| memory | LSTM | fused  |\n"
        "+--------+------+--------+",
        "trials": rows,
    }


def trial(draw, number, cells, epochs):
    cell = draw.choice(cells)
    units = draw.randrange(16, 129, 16)
    rate = 10 ** draw.uniform(-4, -1.5)
    values = {
        "cell": cell,
        "units": units,
        "layers": draw.choice([1, 1, 2]),
        "learning_rate": rate,
        "dropout": round(draw.uniform(0, 0.5), 2),
        "bidirectional": draw.random() < 0.5,
        "optimizer": "adam",
    }
    if cell == "lstm":
        values["lstm/recipe"] = draw.choice(["plain", "chrono"])
    if cell in ("gru", "min_gru"):
        values[f"{cell}/reset_after"] = draw.random() < 0.5
    best = SCORES.get(cell, 0.9) + 0.012 * math.log2(units / 64)
    best -= 0.06 * abs(math.log10(rate / 3e-3)) ** 1.5 + 0.05 * values["dropout"] ** 2
    best += 0.01 * values["bidirectional"] + draw.gauss(0, 0.006)
    fast = draw.uniform(3, 9) * (3e-3 / rate) ** 0.3
    length = epochs if draw.random() < 0.5 else draw.randrange(epochs // 2, epochs + 1)
    accuracy = [
        min(
            1,
            max(0.02, best - (best - 0.1) * math.exp(-e / fast) + draw.gauss(0, 0.006)),
        )
        for e in range(1, length + 1)
    ]
    status, reason, message = "completed", None, None
    fate = draw.random()
    if rate > 0.02 and fate < 0.7:
        status, length = "diverged", draw.randrange(2, 9)
        reason = f"the loss is not finite in epoch {length}"
    elif best < 0.9 and length > 8 and fate < 0.8:
        status, length = "stopped", draw.choice([8, 8, 12, 16])
        reason = f"worse than the median of {number - 1} trials after epoch {length}"
    elif fate > 0.97:
        status, length, message = (
            "failed",
            0,
            "Traceback:\n  ...\nValueError: units < 0",
        )
    elif fate > 0.945:
        status, length = "refused", 0
        reason = "1,203,444 parameters are more than 1,000,000"
    accuracy = accuracy[:length]
    loss = [1.2 * (1.02 - a) for a in accuracy]
    if status == "diverged":
        accuracy[-1], loss[-1] = math.nan, 1e30 if fate < 0.3 else math.inf
    parameters = (
        4 * units * (units + 8) * values["layers"] * (1 + values["bidirectional"])
    )
    finished = status in ("completed", "stopped")
    step = 2 + 6 * parameters / 2e5 + draw.uniform(0, 0.8)
    return {
        "rank": None,
        "trial": number,
        "status": status,
        "reason": reason,
        "score": max(accuracy) if finished else None,
        "best_epoch": accuracy.index(max(accuracy)) + 1 if finished else None,
        "cell": cell,
        "hyperparameters": values,
        "epochs": length,
        "parameters": None if status == "failed" else parameters,
        "seconds": 1.5 + 0.08 * step * length,
        "began": 0.0,
        "worker": "worker0",
        "step_ms": step if length else None,
        "latency_ms": None,
        "seeds": [],
        "mean": None,
        "spread": None,
        "history": {"loss": loss, "val_loss": loss, "val_accuracy": accuracy},
        "message": message,
    }


def report(path, data):
    path.mkdir(exist_ok=True)
    (path / "leaderboard.json").write_text(json.dumps(data), encoding="utf-8")
    page = reporting.write(path)
    assert page == path / "report.html"
    assert not list(path.rglob("*.new"))
    text = page.read_text(encoding="utf-8")
    for svg in svgs(text):
        ElementTree.fromstring(svg.replace("xlink:href", "href"))
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    references = re.findall(r'(?:url\(#|href="#)([^")]+)', text)
    assert set(references) <= set(ids)
    assert not re.search(r"(?:src|href|url)\W{1,3}(?:https?:)?//", text)
    return text


def svgs(text):
    return re.findall(r"<svg.*?</svg>", text, re.DOTALL)


def drawn(path):
    return {file.stem for file in (path / "figures").iterdir()}


def search(data):
    return _search.Search(
        **{k: v for k, v in data.items() if k != "trials"},
        trials=[_search._trial(row) for row in data["trials"]],
    )


def test_everything_is_there(tmp_path):
    data = leaderboard(60)
    text = report(tmp_path, data)
    assert drawn(tmp_path) == set(_figures.NAMES)
    assert len(svgs(text)) == len(_figures.NAMES)
    for file in (tmp_path / "figures").iterdir():
        assert file.read_bytes().startswith(b"\x89PNG")
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles == [
        "Leaderboard",
        "Learning curves",
        "What ended early",
        "Hyperparameters and scores",
        "Importance of hyperparameters",
        "Quality against size and time",
        "Cells side by side",
        "What ran when",
        "The best model",
        "How to run it again",
    ]
    best = data["trials"][0]
    assert f"best: trial {best['trial']}" in text
    assert (
        f"The best of 60 trials is trial {best['trial']}, cell {best['cell']}" in text
    )
    assert f"{best['mean']:.4f} ± {best['spread']:.4f}" in text
    assert html.escape(data["code"].rstrip()) in text
    assert data["command"] in text
    assert text.count("<tr") == 2 + 60 + 1 + len(kinds(data))
    stopped = [row for row in data["trials"] if row["status"] == "stopped"]
    saved = sum(40 - row["epochs"] for row in stopped)
    others, epochs = zip(*(numbers_of(row["reason"]) for row in stopped))
    assert (
        f"worse than the median of {min(others)} to {max(others)} trials after epoch "
        f"{min(epochs)} to {max(epochs)}<"
    ) in text
    assert f"Stopping bad trials saved {saved} epochs" in text


def numbers_of(reason):
    return [int(number) for number in re.findall(r"\d+", reason)]


def kinds(data):
    ended = (t for t in search(data).trials if t.status != "completed")
    return {(trial.status, trial.kind) for trial in ended}


def test_equal_searches_give_equal_files(tmp_path):
    data = leaderboard(25, seed=3)
    names = ["one", "two"]
    for name in names:
        report(tmp_path / name, data)
    one, two = (
        {
            p.relative_to(tmp_path / n): p.read_bytes()
            for p in (tmp_path / n).rglob("*")
            if p.is_file()
        }
        for n in names
    )
    assert one == two


def test_names_are_text(tmp_path):
    data = leaderboard(12, seed=2)
    name, bad = "a<b>&\"c' $x^2$ _{", "<script>alert(1)</script>"
    for number, row in enumerate(data["trials"]):
        row["cell"] = row["hyperparameters"]["cell"] = [bad, "_gru", "漢字"][number % 3]
        row["hyperparameters"][name] = number * 0.1
        row["hyperparameters"]["a_very/long-name.of_a" * 8] = [bad, "$$"][
            number % 2
        ] * 9
        row["worker"] = f"{bad}{number % 2}"
        row["reason"] = row["reason"] and bad
        row["message"] = row["message"] and bad
    data |= {"task": bad, "description": bad, "objective": "val_accuracy"}
    data |= {"code": bad, "explain": bad, "command": bad, "versions": {bad: bad}}
    text = report(tmp_path, data)
    assert text.count("<script>") == 1
    assert "alert(1)&lt;/script&gt;" in text
    assert html.escape(name) in text


def test_numbers_that_are_none(tmp_path):
    data = leaderboard(30, seed=4)
    for number, row in enumerate(data["trials"]):
        if number % 3 == 2:
            row |= {
                "status": "diverged",
                "score": [None, math.nan, -1e30][number % 9 // 3],
            }
            row["history"]["val_accuracy"] = [[math.nan], [0.2, 1e30], [-math.inf]][
                number % 9 // 3
            ]
    data["test"]["loss"] = math.inf
    report(tmp_path, data)
    assert drawn(tmp_path) == set(_figures.NAMES)


def test_an_outlier_does_not_squash_the_others():
    losses = [0.01 * (1 + number) for number in range(30)]
    assert numbers.robust([*losses, 1e30], False, False)[1] < 0.4
    assert numbers.robust([*losses, 1e30], False, True)[1] < 100
    assert numbers.robust([1.0] * 9 + [1e30], False, False)[1] < 1e3
    low, high = numbers.robust([*losses, 0.35], False, False)
    assert low < 0.01 and high > 0.35


def test_losses(tmp_path):
    data = leaderboard(40, seed=5) | {"objective": "val_loss", "direction": "min"}
    for row in data["trials"]:
        if row["score"] is not None:
            row["score"] = 10 ** (-4 * row["score"])
        row["history"] = {
            "val_loss": [10 ** (-4 * v) for v in row["history"]["val_accuracy"]]
        }
        row["mean"] = row["spread"] = None
    data["trials"].sort(key=lambda r: (r["status"] != "completed", r["score"] or 0))
    report(tmp_path, data)
    assert drawn(tmp_path) == set(_figures.NAMES)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_few_trials(tmp_path, count):
    data = leaderboard(count, seed=5, workers=1, seeds=1)
    text = report(tmp_path, data)
    assert "importance" not in drawn(tmp_path)
    assert "Importances need at least 5 trials" in text
    assert "learning_curves" in drawn(tmp_path)
    assert "What ran when" not in text


@pytest.mark.parametrize(
    "status", ["failed", "refused", "diverged", "stopped", "running"]
)
def test_nothing_completed(tmp_path, status):
    data = leaderboard(8) | {
        "test": None,
        "test_runs": [],
        "code": None,
        "explain": None,
    }
    for row in data["trials"]:
        row |= {
            "status": status,
            "score": None,
            "mean": None,
            "spread": None,
            "seeds": [],
        }
        row["message"] = (
            "Traceback\nValueError: too large" if status == "failed" else None
        )
        if status in ("failed", "refused"):
            row |= {"history": {}, "epochs": 0, "parameters": None, "seconds": None}
    text = report(tmp_path, data)
    assert "None of 8 trials completed with a score" in text
    assert ("ValueError: too large" in text) == (status == "failed")
    assert ("No trial has a history" in text) == (status in ("failed", "refused"))


def test_no_trials(tmp_path):
    text = report(tmp_path, leaderboard(1) | {"trials": [], "seconds": 0})
    assert "no trials yet" in text


def test_a_build_function_of_ones_own(tmp_path):
    data = leaderboard(24)
    for row in data["trials"]:
        row["cell"] = None
        rate = row["hyperparameters"]["learning_rate"]
        row["hyperparameters"] = {"lr": rate, "depth": 2}
        row["history"] = {n: values[:1] for n, values in row["history"].items()}
        row |= {"step_ms": None, "worker": None, "began": None}
    text = report(tmp_path, data)
    assert drawn(tmp_path) == set(_figures.NAMES) - {"cells", "workers"}
    assert "Cells side by side" not in text
    assert "depth&nbsp;<b>2</b>" in text


def test_scores_and_values_that_are_all_equal(tmp_path):
    data = leaderboard(12)
    for row in data["trials"]:
        row |= {"status": "completed", "score": 0.5, "parameters": 10, "step_ms": 1.0}
    text = report(tmp_path / "scores", data)
    assert "All trials have the same score" in text
    for row in data["trials"]:
        row |= {"hyperparameters": {"units": 8}, "cell": None}
    text = report(tmp_path / "values", data)
    assert "No hyperparameter that all trials have differs between them" in text


def test_hundreds_of_trials(tmp_path):
    data = leaderboard(300, seed=9, workers=8)
    text = report(tmp_path, data)
    assert "The other 280 trials" in text
    assert len(text) < 3e6


def test_figures_of_an_earlier_report_go(tmp_path):
    report(tmp_path, leaderboard(12))
    report(tmp_path, leaderboard(2, workers=1))
    assert "workers" not in drawn(tmp_path)
    assert "importance" not in drawn(tmp_path)


def test_importance_finds_what_matters():
    draw = random.Random(1)
    rows = []
    for number in range(1, 81):
        cell = draw.choice(["lstm", "gru"])
        values = {"rate": 10 ** draw.uniform(-4, -1), "noise": draw.random()}
        values |= {"layers": draw.randint(1, 3), "flag": draw.random() < 0.5}
        if cell == "lstm":
            values["lstm/recipe"] = draw.choice(["plain", "chrono"])
        score = 0.9 - 0.2 * abs(math.log10(values["rate"]) + 2.5) + draw.gauss(0, 0.01)
        status = "diverged" if values["rate"] > 0.05 else "completed"
        rows.append(
            _search.Trial(
                number,
                status,
                score=score if status == "completed" else None,
                cell=cell,
                hyperparameters=values,
            )
        )
    found = _study.importances(_search.Search(rows, direction="max"))
    shares = {row.name: row.share for row in found.rows}
    assert set(shares) == {"cell", "rate", "noise", "layers", "flag", "lstm/recipe"}
    assert sum(shares.values()) == pytest.approx(1)
    first, *others = found.rows
    assert first.name == "rate" and first.share > 0.5 and first.share > 2 * first.chance
    assert all(row.share < 0.5 * first.share for row in others)
    assert next(row.trials for row in others if row.name == "lstm/recipe") < 80


@pytest.mark.parametrize("direction", ["min", "max"])
def test_front_is_the_brute_force_front(direction):
    draw = random.Random(2)
    trials = [
        _search.Trial(
            number,
            "completed",
            score=round(draw.random(), 2),
            parameters=draw.choice([None, *range(1, 40)]),
        )
        for number in range(120)
    ]
    sign = 1 if direction == "min" else -1
    points = {
        t.trial: (sign * t.score, t.parameters)
        for t in trials
        if t.parameters is not None
    }
    expected = {
        name
        for name, (a, b) in points.items()
        if not any(c <= a and d <= b and (c, d) != (a, b) for c, d in points.values())
    }
    found = _study.front(
        _search.Search(trials, direction=direction), trials, lambda t: t.parameters
    )
    assert {trial.trial for trial in found} == expected
    costs = [trial.parameters for trial in found]
    assert costs == sorted(costs)


def test_nothing_is_left_changed(tmp_path):
    import optuna

    before = dict(matplotlib.rcParams), optuna.logging.get_verbosity()
    report(tmp_path, leaderboard(12))
    assert (dict(matplotlib.rcParams), optuna.logging.get_verbosity()) == before


@pytest.mark.parametrize("package", ["optuna", "matplotlib"])
def test_without_a_package(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs {package}.*keras-rnnx\[report\]"):
        reporting.write(tmp_path)


@needs_browser
def test_in_a_browser(tmp_path):
    report(tmp_path / "search", leaderboard(60))
    page = (tmp_path / "search" / "report.html").as_uri()
    with browser(tmp_path / "profile") as driver:
        for width in (1280, 400):
            show(driver, page, width)
            sizes = driver.execute_script(
                "return [...document.querySelectorAll('figure svg')]"
                ".map(e => e.getBoundingClientRect()).map(r => [r.width, r.height])"
            )
            assert len(sizes) == len(_figures.NAMES)
            assert all(w > 300 and h > 50 for w, h in sizes)
        driver.execute_script("document.querySelector('details').open = true")
        assert driver.execute_script(
            "return document.querySelectorAll('button').length"
        )
        driver.execute_script("document.querySelector('button').click()")
        loads_nothing(driver, page)


def test_for_other_tools(tmp_path):
    """What Optuna and TensorBoard read back is what the trials were."""
    import optuna
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = leaderboard(count=20, seed=3)
    (tmp_path / "leaderboard.json").write_text(json.dumps(board))
    path = reporting.to_optuna(tmp_path, tmp_path / "study.log")
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.load_study(study_name="digits", storage=storage)
    rows = sorted(board["trials"], key=lambda row: row["trial"])
    states = {"completed": "COMPLETE", "stopped": "PRUNED"}
    for row, found in zip(rows, study.trials, strict=True):
        assert found.state.name == states.get(row["status"], "FAIL")
        assert found.params == {"cell": row["cell"], **row["hyperparameters"]}
        assert found.user_attrs["reason"] == row["reason"]
    assert study.best_value == max(
        r["score"] for r in rows if r["status"] == "completed"
    )
    with pytest.raises(FileExistsError, match="study.log exists already"):
        reporting.to_optuna(tmp_path, path)

    folder = reporting.to_tensorboard(tmp_path, tmp_path / "runs")
    for row in rows[:3]:
        read = EventAccumulator(str(folder / f"trial_{row['trial']:04d}"))
        read.Reload()
        curve = [event.value for event in read.Scalars("val_accuracy")]
        assert curve == pytest.approx(row["history"]["val_accuracy"], nan_ok=True)
        assert "_hparams_/session_start_info" in read.PluginTagToContent("hparams")
    with pytest.raises(FileExistsError, match="runs is not empty"):
        reporting.to_tensorboard(tmp_path, folder)
