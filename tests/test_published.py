"""The tables of papers: what is declared, what goes on, verdicts and the page."""

import dataclasses
import importlib
import json
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from benchmarks.published import data, models, page, runs, training, verdicts
from benchmarks.published import watch as watching
from benchmarks.published.declared import Row, Search, Setup, Table, Taken
from benchmarks.published.tables import TABLES
from benchmarks.published.tables.tallec2018 import plateau
from keras_rnnx import cells, datasets

pytestmark = pytest.mark.any_backend

command = importlib.import_module("benchmarks.published.__main__")

ROWS = [
    pytest.param(row, id=f"{table.name}: {row.name}")
    for table in TABLES.values()
    for row in table.rows
]
# Features and outputs of tasks whose files are not here.
SHAPES = {
    "jsb_chorales": ("next_step", None, 88, 88),
    "nottingham": ("next_step", None, 88, 88),
    "musedata": ("next_step", None, 88, 88),
    "piano_midi": ("next_step", None, 88, 88),
    "sequential_mnist": ("classification", 784, 1, 10),
}
LOGS = {"loss", "accuracy", "frame_nll", "bits_per_character", "perplexity"}


def task_like(setup):
    """What a model needs to know of a task."""
    if setup.task in SHAPES:
        kind, steps, features, outputs = SHAPES[setup.task]
        return SimpleNamespace(
            kind=kind,
            steps=steps,
            features=features,
            outputs=outputs,
            tokens=None,
            horizon=None,
            input_shape=(steps, features),
            base_rates=np.full(outputs, 1 / 30),
        )
    sizes = {"train": 2, "validation": 2, "test": 2}
    return datasets.load_task(setup.task, **{**setup.options, **sizes})


# --- what is declared -----------------------------------------------------------------


def test_all_tables_of_the_plan_are_there():
    assert set(TABLES) == {
        "chung2014",
        "bai2018",
        "pascanu2013",
        "le2015",
        "tallec2018",
        "zaremba2014",
        "krueger2016",
        "semeniuta2016",
        "greff2015",
        "records",
    }


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_trained_on_what_is_there(row):
    if row.taken and not row.taken.figures:
        assert runs.taken(row)
    if row.setup is None:
        return
    assert row.setup.task in datasets.list_tasks()
    assert row.key in LOGS
    if isinstance(row.setup, Search) or row.setup.library == "keras_rnnx":
        cells.registry.lookup(row.setup.cell)
    else:
        assert hasattr(keras.layers, row.setup.cell)
    drawn = row.setup.task not in data.FILES
    if drawn:
        assert row.setup.updates
    if row.measure in ("solved", "updates"):
        assert row.setup.goal is not None
    if drawn:
        # Training ends by a figure of the kind that is reported: a loss of 0.001 is no
        # goal for an accuracy.
        better = training.objective(row.setup, task_like(row.setup)).direction == "max"
        assert better == (row.more_is_better or row.measure == "solved")


@pytest.mark.parametrize(
    "row", [case for case in ROWS if case.values[0].parameters is not None]
)
def test_a_model_has_the_parameters_of_the_paper_or_says_why_not(row):
    made = models.model(row.setup, task_like(row.setup)).count_params()
    near = abs(made / row.parameters - 1) < 0.05
    assert near or "parameters" in row.deviates


def test_figures_of_the_facts_are_those_of_the_tables():
    figures = {
        (task, figure.method): figure.value
        for task, facts in datasets.facts.FACTS.items()
        for figure in facts.published
        if figure.source == datasets.facts.BAI
    }
    table, compared = TABLES["bai2018"], 0
    tasks = {
        "JSB": "jsb_chorales",
        "Nottingham": "nottingham",
        "sequential MNIST": "sequential_mnist",
    }
    for row in table.rows:
        task, _, method = row.name.rpartition(", ")
        if task in tasks:
            assert row.figure == figures[tasks[task], method]
            compared += 1
    assert compared == 9


def test_the_plateau_is_the_loss_of_a_network_that_remembers_nothing():
    # Blanks are certain; each of the ten symbols is one of eight.
    assert plateau(500) == pytest.approx(10 * np.log(8) / 520)


def test_keras_layers_have_the_time_of_the_record():
    table = TABLES["records"]
    for row in table.rows:
        if ", Keras' " in row.name:
            task = row.name.partition(", Keras'")[0]
            (ours,) = (
                other
                for other in table.rows
                if other.name.startswith(f"{task},") and "Keras'" not in other.name
            )
            assert row.setup.cpu == ours.setup.cpu is not None
            assert row.setup.options == ours.setup.options
            assert row.setup.units == ours.setup.units


def test_a_fingerprint_changes_with_the_training_alone():
    row = TABLES["records"].rows[0]
    other = dataclasses.replace(row, figure=0.5, deviates="Nothing.")
    assert other.fingerprint == row.fingerprint
    setup = dataclasses.replace(row.setup, rate=0.5)
    assert dataclasses.replace(row, setup=setup).fingerprint != row.fingerprint


def test_declarations_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="neither trained nor taken over"):
        Row("a", "loss")
    with pytest.raises(ValueError, match="`measure` is one of"):
        Row("a", "loss", measure="best", setup=SMALL.setup)
    with pytest.raises(ValueError, match="same name"):
        Table("t", "T", "", "", (SMALL, SMALL))


# --- verdicts -------------------------------------------------------------------------


SMALL = Row(
    "adding, GRU",
    "mean squared error",
    figure=0.2,
    setup=Setup(
        task="adding",
        options={"length": 6, "validation": 20, "test": 20},
        cell="gru",
        units=3,
        rate=0.01,
        batch=10,
        updates=4,
        epochs=3,
    ),
)


@pytest.mark.parametrize(
    ("figures", "figure", "more", "expected"),
    [
        # Mean 3, deviation 1.
        ([2.0, 3.0, 4.0], 1.01, False, "yes"),
        ([2.0, 3.0, 4.0], 0.99, False, "no"),
        ([2.0, 3.0, 4.0], 9.0, False, "yes"),
        ([2.0, 3.0, 4.0], 4.99, True, "yes"),
        ([2.0, 3.0, 4.0], 5.01, True, "no"),
        ([2.0, 3.0, 4.0], -9.0, True, "yes"),
        ([3.0], 3.0, False, "yes"),
        ([3.0], 2.99, False, "no"),
        ([3.0, None], 3.0, False, "no: 1 diverged"),
        ([None, None], 3.0, False, "no: every run diverged"),
        ([], 3.0, False, "not run"),
        ([3.0], None, False, "the paper has no figure"),
    ],
)
def test_a_verdict_is_two_standard_deviations_or_better(
    figures, figure, more, expected
):
    row = dataclasses.replace(SMALL, figure=figure, more_is_better=more)
    assert verdicts.verdict(row, verdicts.summary(figures)) == expected


def test_another_size_has_no_verdict():
    row = dataclasses.replace(SMALL, comparable=False)
    assert verdicts.verdict(row, verdicts.summary([0.0])) == "another size"


# --- runs -----------------------------------------------------------------------------

OTHER = dataclasses.replace(SMALL, name="music, LSTM")
OTHER = dataclasses.replace(
    OTHER,
    key="frame_nll",
    setup=dataclasses.replace(OTHER.setup, task="nottingham", options={}),
)
BEFORE = dataclasses.replace(
    SMALL, name="before", taken=Taken("elsewhere", "so", figures=(0.1, 0.2))
)
TABLE = Table(
    "tried", "Tried", "Somebody 2000", "It was tried.", (SMALL, BEFORE, OTHER)
)


def a_run(test=0.1, status="trained", **more):
    """Figures as a training returns them."""
    facts = {"backend": "torch", "date": "2026-01-01", "cpu_s": 3.0, "solved": True}
    return {"status": status, "test": test, "updates": 8, **facts, **more}


class Called:
    """The command on a small table, with runs that are noted and not made."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.trained, self.cut_off_after = folder, [], None
        self.page = folder / "published.md"
        self.page.write_text(f"Before.\n\n{page.BEGIN}\n{page.END}\n\nBehind.\n")
        for module in (page, command):
            monkeypatch.setattr(module, "TABLES", {"tried": TABLE})
        monkeypatch.setattr(training, "train", self.train)

    def train(self, setup, seed, key, folder, raw, pause):
        if len(self.trained) == self.cut_off_after:
            raise KeyboardInterrupt
        self.trained.append((setup.task, seed))
        return a_run(0.1 + seed / 100)

    def __call__(self, *arguments):
        self.trained.clear()
        places = ["--into", str(self.folder), "--page", str(self.page)]
        return command.main([*arguments, *places])

    @property
    def kept(self):
        path = self.folder / "published-tried.json"
        return json.loads(path.read_text())["runs"]


@pytest.fixture
def called(tmp_path, monkeypatch):
    return Called(tmp_path, monkeypatch)


def test_what_is_kept_is_not_trained_again(called):
    assert called("tried", "--seeds", "2") == 0
    assert called.trained == [("adding", 0), ("adding", 1)]
    assert called("tried", "--seeds", "2") == 0 and called.trained == []
    # Two runs of the second row are taken over.
    assert called("tried", "--seeds", "3") == 0
    assert called.trained == [("adding", 2), ("adding", 2)]
    assert [(run["row"], run["seed"]) for run in called.kept] == [
        ("adding, GRU", 0),
        ("adding, GRU", 1),
        ("adding, GRU", 2),
        ("before", 2),
    ]


def test_a_command_that_is_cut_off_keeps_each_run(called):
    called.cut_off_after = 2
    with pytest.raises(KeyboardInterrupt):
        called("tried")
    assert len(called.kept) == 2
    called.cut_off_after = None
    assert called("tried") == 0
    assert called.trained == [("adding", 2), ("adding", 2)]


def test_a_task_without_its_file_is_said_and_left_out(called, capsys):
    assert called("tried", "--seeds", "1") == 0
    said = capsys.readouterr().out
    assert (
        "Left out: nottingham needs Nottingham.mat or nottingham.npz: pass --data "
        "with the folder that holds it." in said
    )
    assert called("tried", "--seeds", "1", "--data", str(called.folder)) == 0
    said = capsys.readouterr().out
    assert f"nottingham.npz, which is not in {called.folder}." in said
    below = called.folder / "music"
    below.mkdir()
    (below / "nottingham.npz").touch()
    assert called("tried", "--seeds", "1", "--data", str(called.folder)) == 0
    assert called.trained == [("nottingham", 0)]


def test_rows_can_be_chosen(called):
    assert called("tried", "--only", "before") == 0
    assert called.trained == [("adding", 2)]


def test_runs_of_another_setup_are_refused(called, capsys):
    assert called("tried", "--seeds", "1") == 0
    path = called.folder / "published-tried.json"
    path.write_text(path.read_text().replace(SMALL.fingerprint, "00000000"))
    assert called("tried") == 2
    assert "'adding, GRU' with a set-up that has changed" in capsys.readouterr().err


def test_a_row_that_fails_is_tried_again(called, monkeypatch, capsys):
    def fail(*arguments):
        raise RuntimeError("no such luck")

    with monkeypatch.context() as patched:
        patched.setattr(training, "train", fail)
        assert called("tried", "--seeds", "1") == 1
    assert "no such luck" in capsys.readouterr().err
    assert called("tried", "--seeds", "1") == 0
    assert called.trained == [("adding", 0)]


def test_figures_of_runs():
    assert runs.figure("test", a_run(0.3)) == 0.3
    assert runs.figure("test", a_run(None, "diverged")) is None
    assert runs.figure("updates", a_run()) == 8
    assert runs.figure("solved", a_run()) == 1.0
    # A run that diverged has solved nothing.
    assert runs.figure("solved", a_run(None, "diverged", solved=None)) == 0.0


@pytest.mark.parametrize(
    ("text", "expected"), [("30m", 1800), ("2h", 7200), ("90", 90), ("1.5s", 1.5)]
)
def test_budgets(text, expected):
    assert command.seconds(text) == expected


@pytest.mark.parametrize("arguments", [["--budget", "soon"], ["--seeds", "0"], ["x"]])
def test_arguments_that_cannot_be(arguments, capsys):
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert arguments[0] in capsys.readouterr().err


# --- the page -------------------------------------------------------------------------


def test_the_page_is_as_the_runs_are():
    assert command.main(["--check"]) == 0


def test_the_page_says_what_was_run_and_what_not(called, capsys):
    assert called("tried", "--seeds", "3") == 0
    text = called.page.read_text()
    assert text.startswith("Before.\n\n") and text.endswith("\n\nBehind.\n")
    row = "| adding, GRU | mean squared error | 0.2 | 0.11 ± 0.01 | 3 | yes |"
    assert row in text
    assert "| 0.13 ± 0.056 | 3, 2 taken over | yes |" not in text
    assert "**1 of 3 rows were not run yet.**" in " ".join(text.split())
    assert "| music, LSTM | mean squared error | 0.2 | not run | | not run |" in text
    assert "those of `elsewhere`" in " ".join(text.split())
    assert max(len(n) for n in text.splitlines() if not n.startswith("|")) <= 88
    assert called("--check") == 0
    called.page.write_text(text.replace("0.11", "0.12"))
    assert called("--check") == 1
    assert "not as the runs are" in capsys.readouterr().out
    assert called() == 0 and called.page.read_text() == text


def test_figures_from_memory_are_marked(called):
    row = dataclasses.replace(SMALL, checked=False)
    table = dataclasses.replace(TABLE, rows=(row,))
    assert "0.2 (from memory)" in page.section(table, runs.Kept(table, called.folder))


def test_all_shares_of_a_search_are_shown(called):
    assert called("tried", "--seeds", "1") == 0
    kept = runs.Kept(TABLE, called.folder)
    assert "All shares" not in page.section(TABLE, kept)
    kept.runs[0]["shares"] = {"learning_rate": 0.672, "units": 0.316}
    text = page.section(TABLE, kept)
    assert "All shares, seed 0: `learning_rate` 67.2%, `units` 31.6%." in text
    assert "One run was trained" in text


# --- a trial, from end to end ---------------------------------------------------------


def never(watch):
    return False


def test_a_trial_that_is_paused_goes_on_as_if_it_was_not(tmp_path):
    setup = dataclasses.replace(
        SMALL.setup, arguments={"recurrent_dropout": 0.3, "recipe": "chrono"}
    )
    whole = training.train(setup, 1, "loss", tmp_path / "a", pause=never)
    assert whole["status"] == "trained" and whole["updates"] == 12
    assert len(whole["curve"]) == 3 and whole["best"] == min(whole["curve"])
    assert np.isfinite(whole["test"]) and whole["parameters"] > 0
    assert not (tmp_path / "a").exists()
    epochs = []

    def after_each(watch):
        epochs.append(len(watch.epochs))
        return True

    folder = tmp_path / "b"
    for _ in range(2):
        assert training.train(setup, 1, "loss", folder, pause=after_each) is None
    parts = training.train(setup, 1, "loss", folder, pause=after_each)
    assert epochs == [1, 2]
    assert parts["curve"] == pytest.approx(whole["curve"], rel=1e-5)
    assert parts["test"] == pytest.approx(whole["test"], rel=1e-5)
    other = training.train(setup, 2, "loss", tmp_path / "c", pause=never)
    assert other["test"] != whole["test"]


def test_sequences_of_one_length_are_not_padded(tmp_path, monkeypatch):
    expected = training.train(SMALL.setup, 0, "loss", tmp_path / "a", pause=never)
    multiples = dict.fromkeys(training.MULTIPLE, 32)
    monkeypatch.setattr(training, "MULTIPLE", multiples)
    found = training.train(SMALL.setup, 0, "loss", tmp_path / "b", pause=never)
    assert found["test"] == pytest.approx(expected["test"], rel=1e-5)


def test_an_epoch_without_its_backup_is_trained_again(tmp_path):
    """As if it was cut off between the curve and the backup of an epoch."""
    folder = tmp_path / "run"
    setup = dataclasses.replace(SMALL.setup, epochs=2)
    assert training.train(setup, 0, "loss", folder, pause=lambda _: True) is None
    path = folder / "watch.json"
    kept = json.loads(path.read_text())
    kept["epochs"].append({"figure": 9.0, "cpu": 9.0, "updates": 8})
    path.write_text(json.dumps(kept))
    found = training.train(setup, 0, "loss", folder, pause=never)
    assert len(found["curve"]) == 2 and 9.0 not in found["curve"]


def test_a_run_that_was_over_is_only_tested(tmp_path, monkeypatch):
    folder, kept = tmp_path / "run", tmp_path / "kept"

    def copy(*arguments):
        shutil.copytree(folder, kept)
        return judged(*arguments)

    judged = training._judged
    monkeypatch.setattr(training, "_judged", copy)
    whole = training.train(SMALL.setup, 0, "loss", folder, pause=never)
    monkeypatch.setattr(training, "_judged", judged)
    monkeypatch.setattr(keras.Model, "fit", None)
    again = training.train(SMALL.setup, 0, "loss", kept, pause=never)
    assert again["curve"] == whole["curve"]
    assert again["test"] == pytest.approx(whole["test"], rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "epochs", "solved"),
    [
        ({"goal": 9.0}, 1, True),
        ({"goal": 1e-9}, 3, False),
        ({"chance": (2, 1e-9)}, 2, None),
        ({"cpu": 1e-9}, 1, None),
    ],
)
def test_what_ends_a_run(changes, epochs, solved, tmp_path):
    setup = dataclasses.replace(SMALL.setup, **changes)
    found = training.train(setup, 0, "loss", tmp_path / "run", pause=never)
    assert (found["epochs"], found["solved"]) == (epochs, solved)


def test_a_run_that_diverges_has_no_figure(tmp_path):
    setup = dataclasses.replace(SMALL.setup, optimizer="SGD", rate=1e38)
    found = training.train(setup, 0, "loss", tmp_path / "run", pause=never)
    assert (found["status"], found["test"]) == ("diverged", None)


def test_layers_of_keras_stand_between_the_same_ends(tmp_path):
    setup = dataclasses.replace(SMALL.setup, library="keras", cell="GRU", depth=2)
    found = training.train(setup, 0, "loss", tmp_path / "run", pause=never)
    ours = dataclasses.replace(setup, library="keras_rnnx", cell="gru")
    model = models.model(ours, task_like(ours))
    assert found["parameters"] == model.count_params()


def test_music_starts_at_the_base_rates_where_the_set_up_says_so():
    for row, starts in [("Piano-midi, GRU", True), ("JSB, RNN", False)]:
        name = {True: "chung2014", False: "bai2018"}[starts]
        setup = TABLES[name].row(row).setup
        model = models.model(setup, task_like(setup))
        bias = keras.ops.convert_to_numpy(model.layers[-1].bias)
        np.testing.assert_allclose(bias, -np.log(29) if starts else 0, rtol=1e-5)


def test_sequences_are_cut_into_like_ones():
    pieces = training.cut([np.arange(250), np.arange(40), np.arange(149)], 100)
    assert [len(piece) for piece in pieces] == [125, 125, 40, 149]
    np.testing.assert_array_equal(np.concatenate(pieces[:2]), np.arange(250))


def test_a_cut_and_base_rates_change_the_fingerprint():
    """Where they are set: the page refuses runs of another set-up."""
    row = TABLES["le2015"].rows[0]
    for changes in ({"cut": 50}, {"base_rates": True}, {"decay": (5, 0.7)}):
        changed = dataclasses.replace(
            row, setup=dataclasses.replace(row.setup, **changes)
        )
        assert changed.fingerprint != row.fingerprint


@pytest.mark.parametrize(
    ("changes", "figures", "rates"),
    [
        ({"decay": (2, 0.5)}, [1, 1, 1, 1], [1, 1, 0.5, 0.25]),
        # Worse than each of the last three, from the third epoch on.
        ({"falls": 2}, [3, 9, 8, 4, 10, 9, 1], [1, 1, 1, 1, 1, 0.1, 0.1]),
    ],
)
def test_when_a_rate_falls(changes, figures, rates, tmp_path):
    """A lower figure is better."""
    setup = dataclasses.replace(SMALL.setup, rate=1.0, epochs=99, **changes)
    objective = SimpleNamespace(name="loss", direction="min")
    watch = watching.Watch(setup, objective, tmp_path, None, never)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    watch.set_model(model)
    found = []
    for epoch, figure in enumerate(figures):
        watch.on_epoch_begin(epoch)
        found.append(float(model.optimizer.learning_rate))
        watch.on_epoch_end(epoch, {"loss": figure})
    np.testing.assert_allclose(found, rates, rtol=1e-6)
