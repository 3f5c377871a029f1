"""Installing: README's commands, what is said without a backend, an index's page."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from settings import setup_cfg

import keras_rnnx
from keras_rnnx import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
# Indented or in backticks, without what the shell does not read.
COMMANDS = [
    shlex.split(command, comments=True)
    for command in re.findall(r"^    ((?:pip|make|keras-rnnx) .*)$", README, re.M)
    + re.findall(r"`((?:pip|make|keras-rnnx) [^`]*)`", README)
]


def commands(program):
    """The arguments of the commands of one program."""
    found = [words for name, *words in COMMANDS if name == program]
    assert found
    return found


def test_the_first_command_installs_what_is_here():
    assert COMMANDS[0] == ["pip", "install", ".[all]"]


def test_extras_that_are_named_are_there():
    extras = set(setup_cfg()["options.extras_require"])
    words = [word for command in commands("pip") for word in command]
    words += re.findall(r'"\.\[\w+\]"', README)
    named = {extra for word in words for extra in re.findall(r"\[(\w+)\]", word)}
    assert {"all", "jax", "torch"} <= named <= extras


@pytest.mark.parametrize("words", commands("make"), ids=shlex.join)
def test_targets_that_are_named_are_there(words):
    run = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("words", commands("keras-rnnx"), ids=shlex.join)
def test_the_command_understands_what_is_written(words):
    parsed = cli._parser().parse_args(words)
    assert callable(parsed.run)


def without(missing, program, *argv, **environment):
    """Runs a program where some backends are not installed."""
    hide = f"import sys; sys.modules.update(dict.fromkeys({missing!r})); "
    argv = f"sys.argv[:] = {list(argv) or ['-c']!r}; "
    given = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", hide + argv + program],
        # No settings of Keras from home.
        env=given | {"HOME": os.devnull, "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )


ALL = ["tensorflow", "jax", "torch"]
INSTALL = (
    "Keras needs a backend, but none is installed: "
    'pip install "keras-rnnx[tensorflow]", pip install "keras-rnnx[jax]" or '
    'pip install "keras-rnnx[torch]".'
)


def test_without_a_backend_one_sentence_says_what_to_install():
    run = without(ALL, "import keras_rnnx")
    assert run.stderr.endswith(f"\nImportError: {INSTALL}\n")
    assert "keras/src" not in run.stderr and run.stderr.count("File ") <= 2


def test_the_command_says_it_without_a_traceback():
    run = without(ALL, "from keras_rnnx.cli import main", "/bin/keras-rnnx", "cells")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"keras-rnnx: {INSTALL}\n"


@pytest.mark.parametrize(
    ("environment", "by"),
    [
        ({}, "the default backend of Keras"),
        ({"KERAS_BACKEND": "jax"}, "KERAS_BACKEND="),
    ],
    ids=["default", "asked for"],
)
def test_another_backend_that_is_there_is_named(environment, by):
    run = without(["tensorflow", "jax"], "import keras_rnnx", **environment)
    says = run.stderr.splitlines()[-1]
    assert says.startswith("ImportError: Keras would run on") and by in says
    assert "set the environment variable KERAS_BACKEND=torch before" in says


def test_another_module_that_is_missing_is_not_explained():
    run = without(["rich", "numpy"], "import keras_rnnx", KERAS_BACKEND="torch")
    assert run.returncode == 1 and "needs a backend" not in run.stderr


def test_links_of_the_long_description():
    spec = importlib.util.spec_from_file_location("setup", ROOT / "setup.py")
    setup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(setup)
    readme = "[Guide](docs/masks.md#a) [x](https://a.b) [y](#here)"
    kept = "[x](https://a.b) [y](#here)"
    assert setup.long_description(readme, None) == f"Guide {kept}"
    absolute = "[Guide](https://c.d/blob/main/docs/masks.md#a)"
    assert setup.long_description(readme, "https://c.d") == f"{absolute} {kept}"
    image = "![A picture](docs/images/a.png)"
    assert setup.long_description(image, None) == ""
    shown = "![A picture](https://c.d/raw/main/docs/images/a.png)"
    assert setup.long_description(image, "https://c.d") == shown
    urls = setup_cfg()["metadata"].get("project_urls", "")
    assert (setup.source() is None) == ("Source" not in urls)


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text()
    cited = dict(re.findall(r"^([\w-]+): (.+)$", text, re.M))
    assert cited["version"] == keras_rnnx.__version__
    assert cited["license"] == setup_cfg()["metadata"]["license_expression"]
    assert setup_cfg()["metadata"]["author"] in text


@pytest.mark.install
@pytest.mark.parametrize(
    ("extra", "backend"), [("jax", "jax"), ("torch", "torch"), ("all", "tensorflow")]
)
def test_a_new_environment_runs_the_command(extra, backend, tmp_path):
    """README's first command, with each of its extras."""
    clone, home = tmp_path / "clone", tmp_path / "environment"
    ignored = shutil.ignore_patterns(".*", "build", "dist", "__pycache__")
    shutil.copytree(ROOT, clone, ignore=ignored)
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    environment = os.environ | {"KERAS_BACKEND": backend}
    environment.pop("PYTHONPATH", None)

    def run(program, *words):
        return subprocess.run(
            [home / "bin" / program, *words],
            env=environment,
            cwd=clone if program == "pip" else tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    run("pip", "install", "-q", "--disable-pip-version-check", f".[{extra}]")
    assert "LEM" in run("keras-rnnx", "cells", "lem")
    # What is said where no backend is there works behind any installation.
    run("pip", "install", "--no-index", f"keras-rnnx[{backend}]")
    assert "Author: The keras_rnnx authors" in run("pip", "show", "keras-rnnx")


@pytest.mark.install
def test_the_commands_of_the_command_run(tmp_path):
    """Those of README, each to its end, but with fewer trials and epochs."""
    scripts = Path(sys.executable).parent
    own = re.search(
        r"^@register\n.*?(?=^print)", README.split("## Your own")[1], re.M | re.S
    )
    head = "from keras.ops import sigmoid, tanh\n"
    head += "from keras_rnnx.cells import Cell, State, register\n\n"
    (tmp_path / "my_cells.py").write_text(head + own.group())
    for words in commands("keras-rnnx"):
        if words[0] == "tune":
            for name, few in (("--trials", "1"), ("--max-epochs", "1")):
                words = [*words, name, few]
        run = subprocess.run(
            [scripts / "keras-rnnx", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
