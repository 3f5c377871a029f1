"""The command `keras-rnnx`: the catalogue, tasks, explanations, and searches."""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import os
import re
import shlex
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import keras
import rich.console
import rich.progress

import keras_rnnx
from keras_rnnx import _listing, description


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: its arguments. Default: those of the process.

    Returns:
        The exit status: 0, or 2 after an error, or 130 when stopped by Ctrl-C.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        arguments = _parser().parse_args(argv)
        arguments.run(arguments)
    except CommandError as error:
        print(f"keras-rnnx: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"Stopped. Finished trials are kept; to go on: "
            f"{shlex.join(['keras-rnnx', *argv])}"
            if argv[:1] == ["tune"]
            else "Stopped.",
            file=sys.stderr,
        )
        return 130
    return 0


class CommandError(Exception):
    """What the user can mend; printed on one line, without a traceback."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{message} (see {self.prog} --help)")


def _parser():
    parser = _Parser(
        prog="keras-rnnx", description="Recurrent layers for Keras: cells and searches."
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {keras_rnnx.__version__}"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    cells = _command(
        commands, "cells", _cells, "list the catalogue of cells, or show one of them"
    )
    cells.add_argument("name", metavar="NAME", nargs="?", help="a cell to show")
    _add_choices(cells)
    _add_import(cells)

    explain = _command(
        commands, "explain", _explain, "say which engine runs the layers of a model"
    )
    explain.add_argument("model", metavar="MODEL.keras", help="a saved model")
    _add_import(explain)

    tasks = _command(
        commands, "tasks", _tasks, "list the tasks there are data for, or show one"
    )
    tasks.add_argument("name", metavar="NAME", nargs="?", help="a task to show")
    _add_data(tasks)
    _add_import(tasks)

    tune = _command(commands, "tune", _tune, "search for the best model for a task")
    tune.add_argument("task", metavar="TASK", help="a task of `keras-rnnx tasks`")
    _add_data(tune)
    tune.add_argument(
        "--cells", type=_names, metavar="A,B", help="cells (lstm,gru,leaky_rnn)"
    )
    tune.add_argument(
        "--trials", type=_positive, metavar="N", help="models to try (10)"
    )
    tune.add_argument(
        "--max-epochs", type=_positive, default=40, metavar="N", help="most epochs (40)"
    )
    tune.add_argument("--dir", required=True, help="where to save, and to go on")
    tune.add_argument("--seed", type=_natural, default=0, metavar="N", help="(0)")
    tune.add_argument(
        "--tuner",
        choices=("bayesian", "random", "hyperband"),
        default="bayesian",
        help="how trials are chosen (bayesian)",
    )
    tune.add_argument(
        "--batch-size", type=_positive, default=32, metavar="N", help="(32)"
    )
    tune.add_argument(
        "--length", type=int, metavar="N", help="steps of the adding problem"
    )
    _add_import(tune)
    return parser


def _add_choices(cells):
    chosen = cells.add_argument_group(
        "cells to list (all; given together, all must fit)"
    )
    chosen.add_argument(
        "--linear",
        action="store_true",
        help="linear in the state, always or with an argument, which is shown",
    )
    chosen.add_argument(
        "--cudnn",
        action="store_true",
        help="computed exactly by a kernel of cuDNN, with the arguments that are shown "
        "(on JAX by lstm alone)",
    )
    chosen.add_argument(
        "--since", type=_year, metavar="YEAR", help="with a paper of this year or later"
    )
    shown = cells.add_argument_group("the cell to show")
    shown.add_argument(
        "--units", type=_positive, metavar="N", help="units, for its weights (128)"
    )
    shown.add_argument(
        "--features", type=_positive, metavar="N", help="inputs, for its weights (64)"
    )


def _command(commands, name, run, text):
    parser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    parser.set_defaults(run=run)
    return parser


def _add_data(parser):
    data = parser.add_argument_group("the data of the task")
    data.add_argument(
        "--manual-dir", metavar="DIR", help="folder with raw files, not downloaded then"
    )
    data.add_argument(
        "--data-dir", metavar="DIR", help="folder of prepared data (that of TFDS)"
    )
    data.add_argument(
        "--option",
        dest="options",
        action="append",
        default=[],
        type=_option,
        metavar="NAME=VALUE",
        help="an option of the task, as level=character; may be repeated",
    )


def _option(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(
            f"must be NAME=VALUE such as length=50, received {text!r}"
        )
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        # A word without quotes, as one types it.
        return name, value


def _add_import(parser):
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module or .py file that registers cells or tasks; may be repeated",
    )


def _natural(text: str) -> int:
    return _at_least(0, text)


def _positive(text: str) -> int:
    return _at_least(1, text)


def _at_least(least, text):
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(
            f"must be an integer of at least {least}, received {text!r}"
        )
    return int(text)


def _year(text: str) -> int:
    if not re.fullmatch(r"[12]\d{3}", text):
        raise argparse.ArgumentTypeError(
            f"must be a year such as 2018, received {text!r}"
        )
    return int(text)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _import(names: Sequence[str]) -> None:
    for name in names:
        path = Path(name)
        if path.suffix != ".py":
            # A command's first path is its own folder, not the user's.
            if os.getcwd() not in sys.path:
                sys.path.insert(0, os.getcwd())
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as error:
                raise CommandError(f"--import {name}: {error}") from error
            continue
        if not path.is_file():
            raise CommandError(f"--import {name}: no such file")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        # Keras looks the module of a class up by name.
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)


def _cells(arguments):
    _import(arguments.imports)
    sizes = _given(features=arguments.features, units=arguments.units)
    console = rich.console.Console()
    if arguments.name is None:
        if sizes:
            raise CommandError(
                f"--{next(iter(sizes))} is about one cell: give its name"
            )
        rows = _listing.listing(arguments.linear, arguments.cudnn, arguments.since)
        console.print(rows)
        return
    filters = ("linear", "cudnn", "since")
    for name in filters:
        if getattr(arguments, name):
            raise CommandError(
                f"--{name} chooses from the list, and {arguments.name!r} is one cell: "
                f"leave one of them out"
            )
    try:
        found = description.describe(arguments.name, **sizes)
    except ValueError as error:
        raise CommandError(error) from error
    console.print(_listing.about(found))


def _explain(arguments):
    _import(arguments.imports)
    path = Path(arguments.model)
    if not path.is_file():
        raise CommandError(f"{path}: no such file")
    try:
        model = keras.models.load_model(path, compile=False)
    except (TypeError, ValueError, zipfile.BadZipFile) as error:
        raise CommandError(f"{path} cannot be loaded: {error}") from error
    rich.console.Console().print(keras_rnnx.explain(model))


def _tasks(arguments):
    _import(arguments.imports)
    # Data sets are not needed by other commands.
    from keras_rnnx import _task_listing, datasets

    console = rich.console.Console(highlight=False)
    if arguments.name is None:
        for name, value in _task_options(arguments).items():
            raise CommandError(f"{name}={value!r} is about one task: give its name")
        console.print(_task_listing.listing())
        return
    try:
        task = datasets.load_task(arguments.name, **_task_options(arguments))
    except (ImportError, OSError, ValueError) as error:
        raise CommandError(error) from error
    console.print(_task_listing.about(task))


def _task_options(arguments):
    folders = _given(manual_dir=arguments.manual_dir, data_dir=arguments.data_dir)
    return {**folders, **dict(arguments.options)}


def _tune(arguments):
    _import(arguments.imports)
    options = {**_task_options(arguments), **_given(length=arguments.length)}
    try:
        from keras_rnnx import datasets, tuner

        task = datasets.load_task(arguments.task, **options)
        model = tuner.HyperRNN.for_task(task, **_given(cells=arguments.cells))
    except (ImportError, OSError, ValueError) as error:
        raise CommandError(error) from error
    console = rich.console.Console(highlight=False)
    console.print(f"{task.description} Cells: {', '.join(model.cells)}.")
    try:
        with _Reporter(console, model.objective.name) as report:
            result = tuner.search(
                task,
                model.cells,
                trials=arguments.trials,
                max_epochs=arguments.max_epochs,
                directory=arguments.dir,
                tuner=arguments.tuner,
                seed=arguments.seed,
                batch_size=arguments.batch_size,
                progress=report,
            )
    except (tuner.SearchError, ImportError, OSError) as error:
        raise CommandError(error) from error
    console.print(result.table())
    figures = ", ".join(f"{name} {value:.4f}" for name, value in result.test.items())
    best = result.leaderboard[0]
    console.print(
        f"Best: trial {best['trial']}, {best['cell']} with {result.describe()}.\n"
        f"On test data: {figures}."
    )
    imports = ", ".join(
        ["keras", "keras_rnnx", *(Path(n).stem for n in arguments.imports)]
    )
    path = result.directory / "best_model.keras"
    console.print(
        f"To use it: import {imports}; keras.models.load_model({str(path)!r})"
    )


def _given(**options):
    return {name: value for name, value in options.items() if value is not None}


class _Reporter(rich.progress.Progress):
    """Bars for trials and epochs, and a line for each trial that has ended."""

    def __init__(self, console, objective):
        super().__init__(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self.objective = objective
        self.trials = self.add_task("trials", total=None)
        self.epochs = self.add_task("epochs", total=None)

    def __call__(self, event):
        ended = event.row is not None
        self.update(self.trials, total=event.trials, completed=event.trial - 1 + ended)
        self.update(self.epochs, total=event.epochs, completed=event.epoch)
        if ended:
            row = event.row
            score = row["status"] if row["score"] is None else f"{row['score']:.4f}"
            self.console.print(
                f"trial {event.trial}{f'/{event.trials}' if event.trials else ''}: "
                f"{row['cell']} {row['units']}, {self.objective} {score}, "
                f"{row['epochs']} epochs, {row['seconds']:.0f} s",
                markup=False,
            )
