"""What type checkers and editors are told: the stubs, and a user's script."""

import pathlib
import subprocess
import sys

import pytest
from pages import load

ROOT = pathlib.Path(__file__).parents[1]
SCRIPT = """
import keras_rnnx
from keras_rnnx.layers import LSTM, LeakyRNN

layer = LeakyRNN(3, leak=0.1, dropout=0.2, return_sequences=True, name="leaky")
units: int = layer.units
LSTM(4, "tanh", zoneout=[0.1, 0.0], use_cudnn="auto", recipe="chrono")
keras_rnnx.cells.GRUCell(3, reset_after=False, seed=1)
keras_rnnx.explain(layer)
"""


def test_the_stubs_are_as_the_code_is(monkeypatch, tmp_path, capsys):
    stubs = load(ROOT / "docs" / "stubs.py")
    assert stubs.main(["--check"]) == 0
    old = {tmp_path / path.parent.name: stub for path, stub in stubs.STUBS.items()}
    monkeypatch.setattr(stubs, "STUBS", old)
    monkeypatch.setattr(stubs, "PACKAGE", tmp_path / "package")
    assert stubs.main(["--check"]) == 1
    assert "run python docs/stubs.py" in capsys.readouterr().out
    assert stubs.main([]) == 0 and stubs.main(["--check"]) == 0


@pytest.mark.slow
def test_a_checker_refuses_what_a_layer_refuses(tmp_path):
    """As one uses the package: strict about the script, silent about the package."""
    wrong = {
        "LeakyRNN(3, leek=0.1)": 'Unexpected keyword argument "leek" for "LeakyRNN"',
        'keras_rnnx.cells.LSTMCell("3")': 'Argument 1 to "LSTMCell" has incompatible',
    }
    lines = len(SCRIPT.splitlines())
    (tmp_path / "script.py").write_text(SCRIPT + "\n".join(wrong) + "\n")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports"),
            *("--follow-imports=silent", "--config-file=", "script.py"),
        ],
        cwd=tmp_path,
        env={"MYPYPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in run.stdout.splitlines() if line.startswith("script.py")]
    errors = [line for line in found if ": error: " in line]
    assert len(errors) == len(wrong), run.stdout + run.stderr
    for number, (line, message) in enumerate(wrong.items(), lines + 1):
        assert f"script.py:{number}: error: " in errors[number - lines - 1]
        assert message in errors[number - lines - 1], line
