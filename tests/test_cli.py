"""The command line: what it prints, where, and how it exits."""

import html
import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_rnnx
from keras_rnnx import cli

ROOT = Path(__file__).parents[1]
OWN = '''
import keras
import keras_rnnx
from keras_rnnx.cells import Cell, State
from keras_rnnx.datasets import load_task, register_task


@keras_rnnx.cells.register
class OwnCliTestCell(Cell):
    """A simple RNN under another name."""

    states = ("h",)
    gates = ("h",)
    paper = "Nobody 1999"

    def update(self, state, gate):
        return State(h=keras.ops.tanh(gate.h))


@register_task("own_cli_test")
def own(length=5, seed=0):
    return load_task("adding", length=length, train=64, validation=32, test=32)
'''


@pytest.fixture
def own(tmp_path):
    """A file that registers a cell and a task."""
    path = tmp_path / "own_cli_test.py"
    path.write_text(OWN)
    return path


def run(*arguments):
    """The command in a process of its own, without the noise of the backend."""
    command = [sys.executable, "-m", "keras_rnnx", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_cells_lists_the_catalogue(capsys, own, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert cli.main(["cells", "--import", str(own)]) == 0
    out = capsys.readouterr().out
    for info in keras_rnnx.cells.catalog():
        assert re.search(rf"\b{info.name}\b", out)
    (line,) = (line for line in out.splitlines() if "own_cli_test" in line)
    assert "Nobody 1999" in line


def listed(out):
    """The names in the first column."""
    names = (re.match(r"\| (\w+) ", line) for line in out.splitlines())
    return {match[1] for match in names if match} - {"name"}


@pytest.mark.any_backend
def test_cells_lists_those_that_all_filters_let_through(capsys, own, monkeypatch):
    # In a file or a pipe a row is a line, of any length.
    monkeypatch.delenv("COLUMNS", raising=False)
    found = {}
    for filters in ("", "--linear", "--cudnn", "--since 2016", "--cudnn --since 2016"):
        command = ["cells", "--import", str(own), *filters.split()]
        assert cli.main(command) == 0
        out = capsys.readouterr().out
        found[filters] = listed(out)
        if filters == "--linear":
            assert re.search(r"\| sru +\| peepholes=False ", out)
            assert re.search(r"\| lru +\| its defaults ", out)
        if filters == "--cudnn":
            assert re.search(r"\| janet +\| gru with beta=0.0 ", out)
            assert re.search(r"\| own_cli_test ", out) is None
    catalog = {info.name: info for info in keras_rnnx.cells.catalog()}
    assert found[""] == set(catalog)
    linear = {name for name, info in catalog.items() if info.cls.linear}
    assert found["--linear"] == linear | {"sru"}
    assert {"lstm", "gru", "leaky_rnn", "mgu"} <= found["--cudnn"]
    assert not {"lem", "peephole_lstm", "sru"} & found["--cudnn"]
    recent = {name for name, info in catalog.items() if (info.year or 0) >= 2016}
    assert found["--since 2016"] == recent
    assert found["--cudnn --since 2016"] == recent & found["--cudnn"]
    assert cli.main(["cells", "--linear", "--cudnn"]) == 0
    assert "No cell of the catalogue fits all filters" in capsys.readouterr().out


def test_cells_shows_one(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.main(["cells", "lem", "--features", "3", "--units", "5"]) == 0
    out = capsys.readouterr().out
    for said in (
        "z' = (1 - d1) z + d1 tanh(a_z)",
        "For sequences with several time scales",
        "keras_rnnx.layers.LEM",
        "https://arxiv.org/abs/2110.04744",
        f"parameters: {3 * 20 + 5 * 20 + 20} with 3 inputs and 5 units",
        f"Engines, on {keras.backend.backend()}",
    ):
        assert said in out
    assert re.search(r"\| recurrent_kernel +\| \(5, 20\) +\| 100 ", out)
    assert re.search(r"\| dt +\| 1.0 +\| largest step size, positive. +\|", out)
    assert re.search(r"\| training +\| fused ", out)
    for name in ("leaky_rnn", "LeakyRNN", "LeakyRNNCell"):
        assert cli.main(["cells", name]) == 0
        assert "0.02 to 0.9, on a logarithmic scale" in capsys.readouterr().out


def test_cells_shows_a_cell_of_ones_own(capsys, own):
    assert cli.main(["cells", "own_cli_test", "--import", str(own)]) == 0
    out = capsys.readouterr().out
    assert "A simple RNN under another name." in out
    assert "layer: none of its own" in out and "paper: Nobody 1999" in out


@pytest.mark.any_backend
def test_a_search_from_start_to_use(own, tmp_path, capsys, monkeypatch):
    """A cell and a task of one's own, stopped, resumed, reported, used elsewhere."""
    monkeypatch.setenv("COLUMNS", "200")
    directory = tmp_path / "found"
    command = ["tune", "own_cli_test", "--import", str(own), "--length", "4"]
    command += ["--cells", "own_cli_test,simple_rnn", "--max-epochs", "1"]
    command += ["--preset", "quick", "--space", "units=(2, 5)", "--finalists", "0"]
    command += ["--dir", str(directory)]
    with pytest.MonkeyPatch.context() as patch:
        module = importlib.import_module("keras_rnnx._commands.live")
        patch.setattr(module.LiveSearch, "__call__", interrupt_in_trial(2))
        assert cli.main([*command, "--trials", "2", "--workers", "0"]) == 130
    error = capsys.readouterr().err
    assert error.startswith("Stopped.") and error.count("\n") == 1
    assert f"keras-rnnx {shlex.join(command)} --trials 2 --workers 0" in error

    assert cli.main([*command, "--trials", "2"]) == 0
    out, error = capsys.readouterr()
    assert not error
    assert "trial 1/2" not in out and "trial 2/2: simple_rnn [3], val_loss" in out
    board = json.loads((directory / "leaderboard.json").read_text())
    assert {row["cell"] for row in board["trials"]} == {"own_cli_test", "simple_rnn"}
    assert f"loss {board['test']['loss']:.4f}" in out
    assert "import keras, keras_rnnx, own_cli_test" in out

    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import keras, keras_rnnx, own_cli_test\n"
        f"model = keras.models.load_model({str(directory / 'best_model.keras')!r})\n"
        "task = keras_rnnx.datasets.load_task('own_cli_test', length=4)\n"
        "print('error', model.evaluate(*task.test, verbose=0)[0])\n"
    )
    used = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT
    )
    assert used.returncode == 0, used.stderr
    error = float(re.search(r"error (\S+)", used.stdout).group(1))
    assert error == pytest.approx(board["test"]["loss"], rel=1e-4)

    model = str(directory / "best_model.keras")
    assert cli.main(["explain", model, "--import", str(own)]) == 0
    assert re.search(r"OwnCliTestCell|SimpleRNNCell", capsys.readouterr().out)

    assert cli.main([*command, "--trials", "2", "--seed", "1"]) == 2
    assert "differs in seed (0 there, 1 now)" in capsys.readouterr().err

    assert cli.main(["report", str(directory)]) == 0
    assert f"Report: {directory / 'report.html'}" in capsys.readouterr().out
    assert shlex.join(command) in html.unescape(
        (directory / "report.html").read_text(encoding="utf-8")
    )


def interrupt_in_trial(number):
    """In place of what shows a search: stops like Ctrl-C."""

    def show(self, event):
        if event.trial == number:
            raise KeyboardInterrupt

    return show


@pytest.mark.any_backend
def test_data_in_files(tmp_path, capsys, monkeypatch):
    """Arrays, a series, sequences of a table, and a function that gives a task."""
    monkeypatch.setenv("COLUMNS", "200")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(40, 4, 2)), y=np.arange(40) % 2)
    rows = ["time,a,b", *(f"day {n},{n % 7},{n % 3}" for n in range(120))]
    (tmp_path / "series.csv").write_text("\n".join(rows))
    rows = ["who,value,label"]
    rows += [f"p{n // 4},{rng.normal():.3f},{'xy'[n // 4 % 2]}" for n in range(160)]
    (tmp_path / "people.csv").write_text("\n".join(rows))
    (tmp_path / "own_data.py").write_text(
        "from keras_rnnx.datasets import load_task\n"
        "def few(length=4):\n"
        "    return load_task('adding', length=length, train=32, test=16)\n"
    )
    series = ["--option", "window=6", "--option", "horizon=2", "--option", "target=b"]
    people = ["--option", "sequence=who", "--option", "target=label"]
    for source, options, said in (
        ("data.npz", [], "accuracy"),
        ("series.csv", series, "Columns without numbers are left out: time."),
        ("people.csv", people, "accuracy"),
        ("own_data.py:few", ["--length", "5"], "Add the two marked values among 5."),
    ):
        command = ["tune", str(tmp_path / source), *options, "--cells", "simple_rnn"]
        command += ["--space", "units=2", "--preset", "quick", "--trials", "1"]
        command += ["--max-epochs", "1", "--finalists", "0", "--workers", "0"]
        place = tmp_path / source.replace(":", "-").replace(".", "-")
        assert cli.main([*command, "--dir", str(place)]) == 0
        assert said in capsys.readouterr().out
    board = json.loads((tmp_path / "series-csv" / "leaderboard.json").read_text())
    assert board["task"] == "series"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tune", "digit", "--dir", "{}"], "'digit'.*Did you mean 'digits'"),
        (
            ["tune", "adding", "--cells", "lstm,gur", "--dir", "{}"],
            "'gur'.*Did you mean .*'gru'",
        ),
        (["tune", "digits", "--length", "5", "--dir", "{}"], "option.*'length'"),
        (["tune", "adding", "--length", "1", "--dir", "{}"], "`length`.*received 1"),
        (["tune", "adding", "--trials", "0", "--dir", "{}"], "--trials.*'0'"),
        (["tune", "adding", "--trials", "x", "--dir", "{}"], "--trials.*'x'"),
        (["tune", "adding", "--max-epochs", "-1", "--dir", "{}"], "--max-epochs"),
        (["tune", "adding", "--seed", "1.5", "--dir", "{}"], "--seed.*'1.5'"),
        (["tune", "adding", "--tuner", "best", "--dir", "{}"], "--tuner.*bayesian"),
        (["tune", "adding", "--budget", "3 h", "--dir", "{}"], "90s, 30m.*'3 h'"),
        (["tune", "adding", "--max-step-ms", "0", "--dir", "{}"], "positive.*'0'"),
        (["tune", "adding", "--space", "units", "--dir", "{}"], "--space.*NAME=VALUE"),
        (["tune", "adding", "--space", "x=(2,1)", "--dir", "{}"], "'x' with .2, 1"),
        (["tune", "no.csv", "--dir", "{}"], "no.csv: no such file"),
        (["tune", "no.py:task", "--dir", "{}"], "TASK: no.py: no such file"),
        (["report", "{}"], "holds no finished search"),
        (["tune", "adding"], "--dir"),
        (["tune", "adding", "--import", "no_such", "--dir", "{}"], "no_such"),
        (["tune", "adding", "--import", "no/such.py", "--dir", "{}"], "no/such.py"),
        (["tasks", "trecc"], "'trecc'.*Did you mean 'trec'"),
        (
            ["tasks", "adding", "--option", "lenght=5"],
            "'lenght'.*Did you mean 'length'",
        ),
        (["tasks", "adding", "--option", "length"], "--option.*NAME=VALUE.*'length'"),
        (["tasks", "--option", "length=5"], "length=5 is about one task"),
        (["tasks", "trec", "--manual-dir", "{}/no"], "`manual_dir` is no folder"),
        (["explain", "{}/no.keras"], "no.keras: no such file"),
        (["explain", __file__], "cannot be loaded"),
        (["cels"], "cels.*cells"),
        (["cells", "lemm"], "'lemm'.*Did you mean 'lem'"),
        (["cells", "--since", "18"], "--since.*year such as 2018.*'18'"),
        (["cells", "--since", "x"], "--since.*'x'"),
        (["cells", "--units", "8"], "--units is about one cell"),
        (["cells", "--features", "8"], "--features is about one cell"),
        (["cells", "lem", "--units", "0"], "--units.*'0'"),
        (["cells", "lem", "--linear"], "--linear filters.*'lem' is one cell"),
        (["cells", "lem", "--cudnn"], "--cudnn filters"),
        (["cells", "lem", "--since", "2018"], "--since filters"),
        (["cells", "clockwork_rnn", "--units", "3"], "periods.*units=3"),
        ([], "COMMAND"),
    ],
)
def test_an_error_is_one_line_and_status_2(arguments, message, tmp_path, capsys):
    arguments = [argument.replace("{}", str(tmp_path)) for argument in arguments]
    assert cli.main(arguments) == 2
    out, error = capsys.readouterr()
    assert not out
    assert error.startswith("keras-rnnx: ") and error.count("\n") == 1
    assert re.search(message, error)
    assert not list(tmp_path.iterdir())


def test_what_is_no_model_is_named(tmp_path, capsys):
    path = tmp_path / "not_a_model.keras"
    path.write_text("nothing")
    assert cli.main(["explain", str(path)]) == 2
    error = capsys.readouterr().err
    assert "not_a_model.keras cannot be loaded" in error and error.count("\n") == 1


def test_a_taken_directory_is_an_error_too(tmp_path, capsys):
    path = tmp_path / "file"
    path.write_text("")
    arguments = ["tune", "adding", "--length", "4", "--trials", "1", "--dir", str(path)]
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_it_says_its_version(capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out == f"keras-rnnx {keras_rnnx.__version__}\n"


@pytest.mark.any_backend
def test_it_runs_as_a_module():
    done = run("cells")
    assert done.returncode == 0
    assert "leaky_rnn" in done.stdout
    failed = run("tune", "digit", "--dir", "x")
    assert failed.returncode == 2
    assert "keras-rnnx: Unknown task: received 'digit'." in failed.stderr


def test_tasks_lists_what_there_is(capsys, own, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert cli.main(["tasks", "--import", str(own)]) == 0
    out = capsys.readouterr().out
    (chorales,) = (line for line in out.splitlines() if "jsb_chorales" in line)
    for cell in ("next_step", "229 / 76 / 77", "24-159", "11.09", "8.1 convolutions"):
        assert cell in chorales
    assert "own_cli_test" in out


def test_tasks_shows_one_with_examples(capsys):
    options = ["--option", "length=4", "--option", "train=3", "--option", "seed=7"]
    assert cli.main(["tasks", "temporal_order", *options[2:], *options[:2]]) == 2
    assert "`length` must be an integer of at least 10" in capsys.readouterr().err
    assert cli.main(["tasks", "adding", *options]) == 0
    out = capsys.readouterr().out
    task = keras_rnnx.datasets.load_task("adding", length=4, train=3, seed=7)
    assert "sequences for training, validation and test: 3 / 1,000 / 1,000" in out
    assert f"mean_squared_error {task.baseline.value:.4g}" in out
    for value in task.train.y[:, 0]:
        assert f"-> [{value:.3f}".rstrip("0") in out


def test_explain_a_model(tmp_path, capsys):
    path = tmp_path / "model.keras"
    layer = keras_rnnx.layers.LSTM(2, name="memory")
    keras.Sequential([keras.Input((3, 1)), layer]).save(path)
    assert cli.main(["explain", str(path)]) == 0
    out = capsys.readouterr().out
    assert "memory" in out and "LSTMCell" in out
