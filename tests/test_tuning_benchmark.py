"""The comparison with KerasTuner: what is run again, what it says, what rules cost."""

import importlib
import json
import random
import statistics
import subprocess
import sys
import time

import pytest
from small_searches import adding

from benchmarks.tuning import curves, methods, replay, runs, settings, verdicts
from keras_rnnx.tuner import SearchError

pytestmark = pytest.mark.any_backend

command = importlib.import_module("benchmarks.tuning.__main__")


def a_run(task="adding", method="kt-random", seed=0, best=0.5, **changes):
    """A run as it is kept."""
    made = {
        "task": task,
        "method": method,
        "seed": seed,
        "seconds": 4.0,
        "max_epochs": 20,
        "preset": "standard",
        "objective": ["val_loss", "min"],
        "best": best,
        "best_after": 2.0,
        "test": None if best is None else {"loss": best, "mean_absolute_error": 9.0},
        "trials": {"begun": 7, "ended": 5, "stopped": 1},
        "epochs": 60,
        "parameters": [100, 200],
        "parameters_of_best": 200,
        "wall": 4.2,
        "curve": [] if best is None else [[0.5, 2 * best], [2.0, best]],
        "date": "2026-01-01",
        "device": "2 CPU cores",
        "processor": "a processor",
        "backend": "torch",
        "backend_version": "2",
        "keras_tuner": "1.4.8",
    }
    return {**made, **changes}


# --- the command ----------------------------------------------------------------------


@pytest.fixture
def called(monkeypatch, tmp_path, capsys):
    """The command, with runs that are noted and not made."""
    requests = []

    def in_process(request, backend):
        requests.append(request)
        key = runs.key_of(request)
        if key in call.failing:
            raise runs.RunFailed("status 1\nno such luck")
        known = ("task", "method", "seed", "seconds", "max_epochs", "preset")
        return a_run(**{name: request[name] for name in known}, best=0.1 + key[2])

    def call(*arguments):
        requests.clear()
        places = ["--out", str(tmp_path), "--backend", "torch"]
        status = command.main([*arguments, *places])
        return status, list(map(runs.key_of, requests)), capsys.readouterr()

    call.failing = set()
    monkeypatch.setattr(runs, "in_process", in_process)
    return call


def test_runs_are_kept_and_not_repeated(called, tmp_path):
    request = (
        "--tasks",
        "adding",
        "--seconds",
        "4",
        "--methods",
        "tpe+asha/1,kt-random",
    )
    both = [("adding", method, 0) for method in ("tpe+asha/1", "kt-random")]
    called.failing.add(both[1])
    status, made, printed = called(*request, "--seeds", "1")
    assert (status, made) == (1, both)
    assert "failed with status 1\nno such luck" in printed.out

    called.failing.clear()
    status, made, printed = called(*request, "--seeds", "2")
    # Each seed has another method first, and what failed is run again.
    assert made == [both[1], ("adding", "kt-random", 1), ("adding", "tpe+asha/1", 1)]
    assert status == 0 and "level with kt-random" in printed.out
    kept = json.loads((tmp_path / "tuning-torch.json").read_text())["runs"]
    assert len(kept) == 4
    assert (tmp_path / "tuning-torch.png").stat().st_size

    status, made, again = called("--only-report")
    assert (status, made) == (0, []) and again.out == printed.out[-len(again.out) :]


def test_runs_that_cannot_be_compared_are_refused(called):
    request = ("--tasks", "digits", "--seeds", "1", "--methods", "kt-random")
    assert called(*request, "--seconds", "4")[0] == 0
    for change in (("--seconds", "5"), ("--seconds", "4", "--max-epochs", "3")):
        status, made, printed = called(*request, *change)
        assert (status, made) == (2, [])
        assert "they can't be compared" in printed.err


def test_tasks_of_files_need_the_files(called, tmp_path):
    def tasks(*arguments):
        given = ("--methods", "kt-random", "--seeds", "1", "--seconds", "4")
        return [task for task, _, _ in called(*given, *arguments)[1]]

    assert tasks() == ["digits", "adding", "mackey_glass"]
    assert tasks("--manual-dir", str(tmp_path)) == [
        *("jsb_chorales", "japanese_vowels", "trec")
    ]


@pytest.mark.parametrize(
    "name", ["random", "random+median", "sgd+median/2", "kt-grid", "kt-random/0"]
)
def test_methods_that_are_none(name, capsys):
    with pytest.raises(SystemExit):
        command.main(["--methods", name])
    assert f"received '{name}'" in capsys.readouterr().err


def test_names_of_methods():
    assert methods.parsed("tpe+none/3") == ("tpe", None, 3)
    assert methods.parsed("kt-hyperband") == "Hyperband"
    assert methods.parsed("kt-random/1") == "RandomSearch"
    assert methods.environment("kt-random/1")["OMP_NUM_THREADS"] == "1"
    assert methods.environment("kt-random") == methods.environment("tpe+asha/1") == {}
    assert methods.is_ours("random+asha/1") and not methods.is_ours("kt-random/1")


def test_a_busy_machine_is_said(called, monkeypatch):
    def in_process(request, backend):
        return a_run("digits", seed=request["seed"], others=0.1 + request["seed"])

    monkeypatch.setattr(runs, "in_process", in_process)
    given = ("--tasks", "digits", "--seconds", "4", "--methods", "kt-random")
    assert "Take care: during 2 of 3 runs" in called(*given)[2].out


def test_a_process_that_fails_says_why():
    request = {"task": "digits", "method": "none of these", "seconds": 1.0}
    request |= {"manual_dir": None, "data_dir": None}
    with pytest.raises(runs.RunFailed, match=r"(?s)status 1.*A method is TUNER\+RULE"):
        runs.in_process(request, "torch")


def test_the_load_of_others_is_not_that_of_a_process_and_its_children():
    program = (
        "import subprocess, sys\n"
        "code = 'import time\\nend = time.time() + 1.5\\nwhile time.time() < end: 0'\n"
        "subprocess.run([sys.executable, '-c', code])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    load = runs.Load(process.pid)
    while process.poll() is None:
        load.look()
        time.sleep(0.02)
    whole, start = load.others(), load.seconds
    load._own.clear()
    # The child used most of the time; on a busy machine less.
    assert load.others() - whole > 0.2 / start


# --- curves and verdicts --------------------------------------------------------------


def test_the_best_so_far():
    points = [(3.0, 0.2), (1.0, 0.5), (2.0, float("inf")), (2.5, 0.6), (9.0, 0.1)]
    found = curves.best_so_far(points, "min", seconds=5)
    assert found == [(1.0, 0.5), (3.0, 0.2)]
    assert curves.best_so_far(points[1:4:2], "max") == [(1.0, 0.5), (2.5, 0.6)]
    values = curves.at(found, [0.5, 1.0, 2.9, 4.0])
    assert str(values) == "[nan, 0.5, 0.5, 0.2]"


@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.parametrize(
    ("mine", "verdict"),
    [
        ([0.1, 0.2, 0.3], "better than"),
        ([0.4, 0.5, 0.6], "level with"),  # the same
        ([0.45, 0.5, 0.55, 0.6], "level with"),  # worse by less than a deviation
        ([0.9, 0.9, 0.9], "worse than"),
        ([0.1, 0.1, None], "worse than"),
    ],
)
def test_verdicts(direction, mine, verdict):
    def scores(values):
        sign = 1 if direction == "min" else -1
        return [None if v is None else sign * v for v in values]

    given = {
        "random+median/2": mine,
        "kt-random": [0.7, 0.8, 0.9],
        "kt-bayesian": [0.4, 0.5, 0.6],
        "kt-hyperband": [0.0, 0.0, None],
    }
    objective = ["val_loss", direction]
    made = [
        a_run(method=method, seed=seed, best=best, objective=objective)
        for method, values in given.items()
        for seed, best in enumerate(scores(values))
    ]
    found = verdicts.summaries(made)["adding"]
    assert [one.missing for one in found] == [mine.count(None), 0, 0, 1]
    assert found[1].mean == pytest.approx(statistics.mean(scores([0.7, 0.8, 0.9])))
    assert found[1].test_mean == pytest.approx(found[1].mean)
    assert found[1].spread == pytest.approx(0.1)
    against = verdicts.against_theirs(found, direction)
    assert against == {"random+median/2": (verdict, "kt-bayesian")}
    top = verdicts.best(found, direction).method
    assert top == (
        "random+median/2" if verdict == "better than" else "kt-bayesian"
    ) or (verdict == "level with" and mine == [0.4, 0.5, 0.6])
    counts = verdicts.totals([against, against])["random+median/2"]
    assert counts[verdict] == sum(counts.values()) == 2


def test_labels_stay_apart():
    figure = importlib.import_module("benchmarks.tuning.figure")
    places = figure.spaced([0.1, 0.12, 0.97, 0.98, 1.0], 0.1)
    assert places == pytest.approx([0.1, 0.2, 0.8, 0.9, 1.0])


def test_tasks_are_cut_to_size():
    from keras_rnnx.datasets import load_task

    task = load_task("parity", length=5, train=40, validation=7, test=3)
    setting = settings.Setting({}, 3, 20, 9, ("val_loss", "min"))
    cut = settings.shrunk(task, setting)
    assert [len(part.x) for part in cut.parts] == [20, 16, 3]
    assert [len(part.y) for part in cut.parts] == [20, 16, 3]
    assert tuple(cut.objective) == ("val_loss", "min")
    assert (cut.validation.x[:7] == task.validation.x).all()


# --- rules ----------------------------------------------------------------------------


def synthetic(count=12, epochs=10, seed=0):
    """Trials that fall from 1 to a level of their own, one of which diverges."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        level, rate = draw.random(), draw.uniform(0.2, 0.9)
        losses = [level + (1 - level) * rate**k for k in range(epochs)]
        losses = [loss + draw.gauss(0, 0.02) for loss in losses]
        made.append(replay.Trial(tuple(losses), epochs, True))
    return [*made, replay.Trial(made[0].losses[:4], 5, False)]


def brute_force(trials, order, epochs):
    """The median rule, in other words: from the second epoch and a fifth of all on."""
    ran, total, left = [], 0, []
    for number in order:
        losses = list(trials[number].losses)
        end = None
        for n in range(max(2, -(-epochs // 5)), min(len(losses) + 1, epochs)):
            as_far = sorted(min(o[:n]) for o in ran if len(o) >= n)
            if len(as_far) < 4:
                continue
            half = len(as_far) // 2
            middle = (as_far[half] + as_far[-half - 1]) / 2
            if min(losses[:n]) > middle:
                end = n
                break
        ran.append(losses[:end])
        total += end or trials[number].epochs
        if end is None and trials[number].counts:
            left.append(min(losses))
    return total, min(left)


def test_a_replay_is_what_brute_force_finds():
    rules = importlib.import_module("benchmarks.tuning.rules").rules(10)
    trials = synthetic()
    whole = sum(trial.epochs for trial in trials)
    best = min(min(trial.losses) for trial in trials[:-1])
    shuffle = random.Random(3).shuffle
    found = []
    for _ in range(30):
        order = list(range(len(trials)))
        shuffle(order)
        outcome = replay.replay(trials, order, rules["median"])
        found.append(brute_force(trials, order, 10))
        assert (outcome.epochs, outcome.best) == found[-1]
        assert outcome.epochs < whole
    measured = replay.measures(trials, rules["median"], resamples=30, seed=3)
    assert measured.saved == pytest.approx(1 - sum(e for e, _ in found) / 30 / whole)
    assert measured.missed == sum(b > best for _, b in found) / 30
    assert measured.loss == pytest.approx(sum(b - best for _, b in found) / 30)
    assert measured.worst == pytest.approx(max(b - best for _, b in found))


def test_rules_at_their_extremes():
    trials = synthetic()
    never = replay.measures(trials, lambda mine, others: None, resamples=3)
    assert never == (0, 0, 0, 0)
    always = replay.measures(trials, lambda mine, others: "always", resamples=3)
    finals = [min(trial.losses) for trial in trials[:-1]]
    whole = sum(trial.epochs for trial in trials)
    assert always.saved == pytest.approx(1 - len(trials) / whole)
    assert always.missed == 1 and always.loss == max(finals) - min(finals)


def test_trials_are_read_from_a_leaderboard(tmp_path, capsys):
    rules = importlib.import_module("benchmarks.tuning.rules")
    nan = float("nan")
    histories = {
        "completed": {"val_accuracy": [0.2, 0.6], "loss": [1.0, 0.5]},
        "diverged": {"val_accuracy": [0.3, 0.4], "loss": [1.0, nan]},
        "failed": {},
    }
    board = {
        "task": "digits",
        "stopping": None,
        "objective": "val_accuracy",
        "direction": "max",
        "max_epochs": 2,
        "trials": [{"status": s, "history": h} for s, h in histories.items()],
    }
    path = tmp_path / "leaderboard.json"
    path.write_text(json.dumps(board))
    _, trials = replay.read(tmp_path)
    assert trials == [((-0.2, -0.6), 2, True), ((-0.3,), 2, False)]
    assert rules.main([str(tmp_path), "--resamples", "2"]) == 0
    assert "asha, 1 of 3" in capsys.readouterr().out
    path.write_text(json.dumps({**board, "stopping": "median"}))
    assert rules.main([str(tmp_path)]) == 2
    assert "Search with stopping=None" in capsys.readouterr().err


# --- one real run of each side --------------------------------------------------------


@pytest.mark.usefixtures("eager_trials")
# KerasTuner's `load_model` causes it.
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
@pytest.mark.parametrize("method", ["random+median/1", "kt-random", "kt-hyperband"])
def test_a_run(method):
    from benchmarks.tuning import one

    task = adding()
    request = {
        "task": "adding",
        "method": method,
        "seed": 0,
        "max_epochs": 3,
        "preset": "quick",
        "keep": None,
    }
    # On a busy machine the first epoch may take long.
    for limit in (2.0, 8.0, 32.0):
        try:
            found = one.run({**request, "seconds": limit}, task)
        except SearchError as error:
            assert "time budget is too small" in str(error)
            continue
        if found["curve"]:
            break
    # The report reads them as they are kept.
    found = json.loads(json.dumps(found))
    assert found.keys() >= a_run().keys()
    seconds, scores = zip(*found["curve"])
    assert list(scores) == sorted(scores, reverse=True)
    assert (
        seconds == tuple(sorted(seconds)) and 0 < seconds[-1] <= limit <= found["wall"]
    )
    assert found["best"] == scores[-1] and found["best_after"] == seconds[-1]
    assert found["objective"] == ["val_loss", "min"]
    assert set(found["test"]) == {"loss", "mean_absolute_error"}
    trials = found["trials"]
    assert trials["ended"] + trials["stopped"] <= trials["begun"]
    assert trials["begun"] >= 1 and found["epochs"] >= 1
    assert found["parameters_of_best"] in found["parameters"]
    assert verdicts.summary(method, [found]).test_mean == found["test"]["loss"]
