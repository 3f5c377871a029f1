"""`keras-rnnx diagnose`: from files to what is printed and written."""

import json
import re
import sys

import keras
import numpy as np
import pytest

import keras_rnnx
from keras_rnnx import cli, layers
from keras_rnnx.diagnosis import Report

STEPS = 12


def made(name, radius):
    keras.utils.set_random_seed(0)
    start = keras_rnnx.initializers.SpectralRadius(radius)
    model = keras.Sequential(
        [
            keras.Input((STEPS, 2)),
            layers.SimpleRNN(
                4, activation="linear", recurrent_initializer=start, name="rnn"
            ),
            keras.layers.Dense(1),
        ],
        name=name,
    )
    model.compile(keras.optimizers.Adam(1e-3, global_clipnorm=1.0), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A forgetful model, a healthy one, and data in several files."""
    folder = tmp_path_factory.mktemp("files")
    made("forgetful", 0.1).save(folder / "model.keras")
    made("healthy", 0.95).save(folder / "healthy.keras")
    dense = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    dense.save(folder / "dense.keras")
    random = np.random.default_rng(0)
    x = random.normal(size=(20, STEPS, 2)).astype("float32")
    y = x[:, 0, :1]
    np.savez(folder / "data.npz", x=x, y=y, sample_weight=np.ones(20))
    np.savez(folder / "inputs.npz", x=x)
    np.savez(folder / "no_x.npz", y=y)
    np.savez(folder / "more.npz", x=x, labels=y)
    np.savez(folder / "wide.npz", x=x[..., :1], y=y)
    np.savez(folder / "fewer.npz", x=x, y=y[:3])
    np.savez(folder / "objects.npz", x=np.array([1, "a", None], object))
    np.save(folder / "one.npy", x)
    (folder / "text.npz").write_text("x, y")
    (folder / "text.keras").write_text("nothing")
    (folder / "own_tasks.py").write_text(
        "from keras_rnnx.datasets import load_task\n"
        "def few(length=12):\n"
        "    return load_task('adding', length=length, train=32, test=16)\n"
    )
    return folder


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


def test_arrays_in_a_file_to_all_files(files, tmp_path, capsys):
    command = ["diagnose", str(files / "model.keras"), "--data", f"{files}/data.npz"]
    written = [tmp_path / f"report.{kind}" for kind in ("html", "svg", "json")]
    for option, path in zip(("--html", "--plot", "--json"), written):
        command += [option, str(path)]
    measures = "gradients,updates,dynamics,states,memory"
    assert cli.main([*command, "--measures", measures]) == 1
    out, error = capsys.readouterr()
    assert not error
    assert "1. Gradients vanish in rnn" in out and "forgetful: " in out
    for label, path in zip(("Page:", "Figures:", "Numbers:"), written):
        assert f"{label} {path}" in out
    page, picture, numbers = (path.read_text(encoding="utf-8") for path in written)
    assert "Gradients vanish in rnn" in page and "<svg" in picture
    report = Report.from_dict(json.loads(numbers))
    x, y, weights = np.load(files / "data.npz").values()
    model = keras.models.load_model(files / "model.keras")
    again = keras_rnnx.diagnose(model, x, y, weights, measures=measures.split(","))
    assert str(report) == str(again)


def test_a_task_and_its_options(files, tmp_path, capsys):
    few = ["--option", "train=24", "--option", "test=8"]
    path = tmp_path / "report.json"
    command = ["diagnose", str(files / "healthy.keras"), "--task", "adding"]
    command += ["--length", str(STEPS), *few, "--measures", "gradients,updates"]
    command += ["--sequences", "5", "--batch-size", "8", "--json", str(path)]
    assert cli.main(command) == 0
    assert "healthy: no findings, on 5 sequences" in capsys.readouterr().out
    report = Report.from_dict(json.loads(path.read_text()))
    task = keras_rnnx.datasets.load_task("adding", length=STEPS, train=24, test=8)
    model = keras.models.load_model(files / "healthy.keras")
    again = keras_rnnx.diagnose(
        model, task, measures=("gradients", "updates"), sequences=5, batch_size=8
    )
    assert report.loss == pytest.approx(again.loss, rel=1e-5)
    np.testing.assert_allclose(report.training.norms, again.training.norms, rtol=1e-4)


@pytest.mark.any_backend
def test_a_task_of_ones_own_and_inputs_alone(files, capsys):
    model = str(files / "healthy.keras")
    own = f"{files}/own_tasks.py:few"
    command = ["diagnose", model, "--measures", "states", "--samples", "6"]
    assert cli.main([*command, "--task", own]) == 0
    assert "on 6 sequences" in capsys.readouterr().out
    assert cli.main([*command, "--data", f"{files}/inputs.npz"]) == 0
    assert "there are no targets (`y`)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("no.keras --data {}/data.npz", "no.keras: no such file"),
        ("{}/text.keras --data {}/data.npz", "text.keras cannot be loaded"),
        ("{}/data.npz --data {}/data.npz", "data.npz cannot be loaded"),
        ("{}/dense.keras --data {}/data.npz", "`model` has no recurrent layers"),
        ("{}/model.keras", "--task NAME or --data FILE.npz, one of.*received none"),
        ("{}/model.keras --task adding --data {}/data.npz", "one of.*received both"),
        ("{}/model.keras --data {}/data.npz --length 4", "--length is about a task"),
        ("{}/model.keras --data {}/x.npz --option a=1", "--option is about a task"),
        ("{}/model.keras --data {}/none.npz", "--data .*none.npz: no such file"),
        ("{}/model.keras --data {}/text.npz", "--data .*no .npz file of numbers"),
        ("{}/model.keras --data {}/objects.npz", "no .npz file of numbers"),
        ("{}/model.keras --data {}/one.npy", "one array, not an .npz file.*savez"),
        ("{}/model.keras --data {}/no_x.npz", "'x' is missing; it holds 'y'"),
        ("{}/model.keras --data {}/more.npz", "'labels' is none of 'x', 'y' and"),
        ("{}/model.keras --data {}/wide.npz", r"wide.npz: `x` has shape .20, 12, 1."),
        ("{}/model.keras --data {}/fewer.npz", "`y` has 3 samples, and `x` has 20"),
        ("{}/model.keras --task addin", "'addin'.*Did you mean 'adding'"),
        ("{}/model.keras --task adding --option lenght=5", "Did you mean 'length'"),
        ("{}/model.keras --task {}/no.py:few", "--task: .*no.py: no such file"),
        ("{}/model.keras --task {}/own_tasks.py:no", "has no function 'no'"),
        (
            "{}/model.keras --data {}/data.npz --measures gradient",
            "--measures: .*'gradient'.*Did you mean 'gradients'",
        ),
        (
            "{}/model.keras --data {}/inputs.npz --measures updates",
            "'updates', which needs the loss: there are no targets",
        ),
        ("{}/model.keras --data {}/data.npz --samples 0", "--samples.*'0'"),
        ("{}/model.keras --data {}/data.npz --seed -1", "--seed"),
        ("{}/model.keras --data {}/data.npz --html {}", "--html .*a folder"),
        ("{}/model.keras --data {}/data.npz --json no/such.json", "no such folder"),
        ("{}/model.keras --data {}/data.npz --plot a.xyz", "--plot a.xyz.*png"),
        ("{}/model.keras --data {}/data.npz --import no_such", "no_such"),
    ],
)
def test_an_error_is_one_line_and_status_2(arguments, message, files, capsys):
    arguments = arguments.replace("{}", str(files)).split()
    assert cli.main(["diagnose", *arguments]) == 2
    out, error = capsys.readouterr()
    assert not out
    assert error.startswith("keras-rnnx: ") and error.count("\n") == 1
    assert re.search(message, error)


@pytest.mark.any_backend
@pytest.mark.parametrize("option", ["--html", "--plot"])
def test_without_matplotlib_nothing_is_measured(option, files, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    command = ["diagnose", str(files / "model.keras"), "--data", f"{files}/data.npz"]
    assert cli.main([*command, option, "report.png"]) == 2
    error = capsys.readouterr().err
    assert f"{option} needs matplotlib: pip install 'keras-rnnx[plots]'" in error


@pytest.mark.any_backend
def test_help_says_what_the_status_means(capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["diagnose", "--help"])
    assert done.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "exit status is 0 without findings, 1 with findings, and 2 after" in out
    for option in ("--task", "--data", "--html", "--plot", "--json", "--seed"):
        assert option in out
