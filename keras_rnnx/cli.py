"""The command `keras-rnnx`: cells, tasks, explanations, diagnoses and searches."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

import keras_rnnx
from keras_rnnx._commands import diagnosis, tuning
from keras_rnnx._commands.shared import (
    CommandError,
    Parser,
    add_data,
    add_import,
    command,
    console,
    import_all,
    load_model,
    positive,
    task_options,
    without_none,
    year,
)
from keras_rnnx.inspection import describe, listing


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: its arguments. Default: the arguments of the process.

    Returns:
        The exit status: 0, or 1 if `diagnose` finds something, or 2 after an error, or
        130 when stopped by Ctrl-C.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        arguments = _parser().parse_args(argv)
        arguments.command = shlex.join(["keras-rnnx", *argv])
        status: int | None = arguments.run(arguments)
    except CommandError as error:
        print(f"keras-rnnx: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"Stopped. Finished trials are kept; to continue: {arguments.command}"
            if argv[:1] == ["tune"]
            else "Stopped.",
            file=sys.stderr,
        )
        return 130
    return status or 0


def _parser() -> Parser:
    parser = Parser(
        prog="keras-rnnx", description="Recurrent layers for Keras: cells and searches."
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {keras_rnnx.__version__}"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    cells = command(
        commands, "cells", _cells, "list the catalogue of cells, or show one of them"
    )
    cells.add_argument("name", metavar="NAME", nargs="?", help="a cell to show")
    _add_choices(cells)
    add_import(cells)

    explain = command(
        commands, "explain", _explain, "say which engine runs the layers of a model"
    )
    explain.add_argument("model", metavar="MODEL.keras", help="a saved model")
    add_import(explain)

    tasks = command(commands, "tasks", _tasks, "list the tasks, or show one of them")
    tasks.add_argument("name", metavar="NAME", nargs="?", help="a task to show")
    add_data(tasks)
    add_import(tasks)

    diagnosis.add(commands)
    tuning.add(commands)
    return parser


def _add_choices(cells: argparse.ArgumentParser) -> None:
    chosen = cells.add_argument_group(
        "cells to list (all; a cell must fit all filters)"
    )
    chosen.add_argument(
        "--linear",
        action="store_true",
        help="cells that are linear in the state, always or with an argument",
    )
    chosen.add_argument(
        "--cudnn",
        action="store_true",
        help="cells that a kernel of cuDNN computes exactly, with some arguments (on "
        "JAX only by lstm)",
    )
    chosen.add_argument(
        "--since",
        type=year,
        metavar="YEAR",
        help="cells with a paper of this year or later",
    )
    shown = cells.add_argument_group("the cell to show")
    shown.add_argument(
        "--units", type=positive, metavar="N", help="units, for its weights (128)"
    )
    shown.add_argument(
        "--features", type=positive, metavar="N", help="inputs, for its weights (64)"
    )


def _cells(arguments: argparse.Namespace) -> None:
    import_all(arguments.imports)
    sizes = without_none(features=arguments.features, units=arguments.units)
    out = console()
    if arguments.name is None:
        if sizes:
            raise CommandError(f"--{next(iter(sizes))} is about one cell: add its name")
        rows = listing.listing(arguments.linear, arguments.cudnn, arguments.since)
        out.print(rows)
        return
    filters = ("linear", "cudnn", "since")
    for name in filters:
        if getattr(arguments, name):
            raise CommandError(
                f"--{name} filters the list, but {arguments.name!r} is one cell: leave "
                f"one of them out"
            )
    try:
        description = describe.describe(arguments.name, **sizes)
    except ValueError as error:
        raise CommandError(error) from error
    out.print(listing.about(description))


def _explain(arguments: argparse.Namespace) -> None:
    import_all(arguments.imports)
    model = load_model(arguments.model, compile=False)
    console().print(keras_rnnx.explain(model))


def _tasks(arguments: argparse.Namespace) -> None:
    import_all(arguments.imports)
    # Imported here, since other commands do not need data sets.
    from keras_rnnx import datasets
    from keras_rnnx._commands import tasks

    out = console()
    if arguments.name is None:
        for name, value in task_options(arguments).items():
            raise CommandError(f"{name}={value!r} is about one task: add its name")
        out.print(tasks.listing())
        return
    try:
        task = datasets.load_task(arguments.name, **task_options(arguments))
    except (ImportError, OSError, ValueError) as error:
        raise CommandError(error) from error
    out.print(tasks.about(task))
