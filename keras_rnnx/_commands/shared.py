"""Shared by the commands of `keras-rnnx`: arguments, errors, and imports."""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import os
import re
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import keras
import rich.console

if TYPE_CHECKING:
    from keras_rnnx.datasets import Task

# Characters of a line in a file or a pipe: a row of each table is on one line.
WIDE = 500


class CommandError(Exception):
    """An error that the user can fix; printed on one line, without a traceback."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are `CommandError`s."""

    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{message} (see {self.prog} --help)")


def command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    text: str,
) -> argparse.ArgumentParser:
    """Adds a command.

    Args:
        commands: the result of `add_subparsers`.
        name: of the command.
        run: called with its arguments; it may return the exit status.
        text: one line of help.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text.capitalize() + "."
    )
    parser.set_defaults(run=run)
    return parser


def add_data(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments about the data of a task."""
    data = parser.add_argument_group("the data of the task")
    data.add_argument(
        "--manual-dir", metavar="DIR", help="folder with raw files, instead of download"
    )
    data.add_argument(
        "--data-dir", metavar="DIR", help="folder of prepared data (default: TFDS')"
    )
    data.add_argument(
        "--option",
        dest="options",
        action="append",
        default=[],
        type=option,
        metavar="NAME=VALUE",
        help="an option of the task, such as level=character; may be repeated",
    )
    data.add_argument(
        "--length", type=int, metavar="N", help="steps of the adding problem"
    )


def option(text: str) -> tuple[str, object]:
    """Name and value of a text NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals or not name.replace("/", "_").isidentifier():
        raise argparse.ArgumentTypeError(
            f"must be NAME=VALUE such as length=50, received {text!r}"
        )
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        # A word without quotes, as users type it.
        return name, value


def add_import(parser: argparse.ArgumentParser) -> None:
    """Adds `--import`."""
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module or .py file that registers cells or tasks; may be repeated",
    )


def natural(text: str) -> int:
    """An integer of at least 0."""
    return _at_least(0, text)


def positive(text: str) -> int:
    """An integer of at least 1."""
    return _at_least(1, text)


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(
            f"must be an integer of at least {least}, received {text!r}"
        )
    return int(text)


def year(text: str) -> int:
    """A year."""
    if not re.fullmatch(r"[12]\d{3}", text):
        raise argparse.ArgumentTypeError(
            f"must be a year such as 2018, received {text!r}"
        )
    return int(text)


def names(text: str) -> list[str]:
    """Names between commas."""
    return [name.strip() for name in text.split(",")]


def import_all(imports: Sequence[str]) -> None:
    """Imports modules, by name or from `.py` files."""
    for name in imports:
        if Path(name).suffix == ".py":
            load_file(name, f"--import {name}")
            continue
        # The first path of a command is its own folder, not the user's.
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise CommandError(f"--import {name}: {error}") from error


def load_file(name: str, owner: str) -> ModuleType:
    """The module of a `.py` file, imported once.

    Args:
        name: path of the file.
        owner: the argument that names it, for messages.
    """
    path = Path(name)
    if not path.is_file():
        raise CommandError(f"{owner}: {name}: no such file")
    loaded = sys.modules.get(path.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path.resolve()):
        return loaded
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # Keras looks the module of a class up by name.
    sys.modules[path.stem] = module
    assert spec.loader is not None
    spec.loader.exec_module(module)
    return module


def console() -> rich.console.Console:
    """Standard output: as wide as the terminal, and wide where it is none."""
    narrow = sys.stdout.isatty() or "COLUMNS" in os.environ
    return rich.console.Console(highlight=False, width=None if narrow else WIDE)


def load_model(name: str, compile: bool = True) -> keras.Model:
    """The model in a file.

    Args:
        name: path of the file.
        compile: whether to compile it as it was.
    """
    path = Path(name)
    if not path.is_file():
        raise CommandError(f"{path}: no such file")
    try:
        return keras.models.load_model(path, compile=compile)
    except (OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise CommandError(f"{path} cannot be loaded: {error}") from error


def task_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of a task, by name."""
    folders = without_none(manual_dir=arguments.manual_dir, data_dir=arguments.data_dir)
    return {**folders, **dict(arguments.options)}


def without_none(**options: Any) -> dict[str, Any]:
    """The options that are not None."""
    return {name: value for name, value in options.items() if value is not None}


def passed(arguments: argparse.Namespace, *of: str) -> dict[str, Any]:
    """The arguments of some names that were given."""
    return without_none(**{name: getattr(arguments, name) for name in of})


def chosen_task(arguments: argparse.Namespace, owner: str) -> Task:
    """The task that a command is told to take, with its options.

    Args:
        arguments: of the command.
        owner: the argument that names the task, for messages.
    """
    from keras_rnnx import datasets

    options = task_options(arguments)
    if arguments.length is not None:
        options["length"] = arguments.length
    file, colon, function = arguments.task.rpartition(":")
    if colon and file.endswith(".py"):
        return _task_made(file, function, options, owner)
    if Path(arguments.task).suffix in (".npz", ".csv"):
        return datasets.Task.from_file(arguments.task, **options)
    return datasets.load_task(arguments.task, **options)


def _task_made(file: str, function: str, options: dict[str, Any], owner: str) -> Task:
    """The task that a function in a file returns."""
    from keras_rnnx import datasets

    make = getattr(load_file(file, owner), function, None)
    if not callable(make):
        raise CommandError(f"{file} has no function {function!r}")
    made = make(**options)
    if not isinstance(made, datasets.Task):
        raise CommandError(
            f"{file}:{function} must return a keras_rnnx.datasets.Task, but returned "
            f"{type(made).__name__}"
        )
    return made
