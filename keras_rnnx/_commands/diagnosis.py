"""The command `keras-rnnx diagnose`."""

from __future__ import annotations

import argparse
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnnx._commands.shared import (
    CommandError,
    add_data,
    add_import,
    chosen_task,
    command,
    console,
    import_all,
    load_model,
    names,
    natural,
    passed,
    positive,
    without_none,
)

if TYPE_CHECKING:
    from keras_rnnx.diagnosis import Report

ARRAYS = ("x", "y", "sample_weight")
# The exit status of a diagnosis that found something, as of a linter.
FOUND = 1


def add(commands: Any) -> None:
    """Adds the command."""
    diagnose = command(
        commands, "diagnose", _diagnose, "measure a saved model, and say what is wrong"
    )
    diagnose.description = (
        "Measures the recurrent layers of a saved model on some data, and says what is "
        "wrong with them: the numbers, the cause, code that helps, and the paper. The "
        "exit status is 0 without findings, 1 with findings, and 2 after an error."
    )
    diagnose.add_argument("model", metavar="MODEL.keras", help="a saved model")
    data = diagnose.add_argument_group("what it is measured on (one of these)")
    data.add_argument(
        "--task",
        metavar="NAME",
        help="a task of `keras-rnnx tasks`, its training part; or FILE.py:FUNCTION "
        "that returns one; or data, FILE.npz or FILE.csv, as for `keras-rnnx tune`",
    )
    data.add_argument(
        "--data",
        metavar="FILE.npz",
        help="arrays that the model takes as they are: x, y and perhaps sample_weight; "
        "without y, what needs the loss is not measured",
    )
    add_data(diagnose)
    _add_measures(diagnose)
    written = diagnose.add_argument_group("files to write, beside what is printed")
    written.add_argument(
        "--html", metavar="FILE", help="a page with the findings and figures"
    )
    written.add_argument(
        "--plot", metavar="FILE", help="the figures, such as report.png or report.svg"
    )
    written.add_argument("--json", metavar="FILE", help="all numbers")
    add_import(diagnose)


def _add_measures(diagnose: argparse.ArgumentParser) -> None:
    measures = diagnose.add_argument_group("measures")
    measures.add_argument(
        "--measures",
        type=names,
        metavar="A,B",
        help="what is measured: gradients, updates, dynamics, states, memory, cost "
        "(all)",
    )
    measures.add_argument(
        "--sequences",
        "--samples",
        type=positive,
        metavar="N",
        help="most sequences for the measures of each step (64)",
    )
    measures.add_argument(
        "--batches", type=positive, metavar="N", help="most batches for updates (4)"
    )
    measures.add_argument(
        "--batch-size", type=positive, metavar="N", help="sequences in a batch (32)"
    )
    measures.add_argument(
        "--seed", type=natural, metavar="N", help="of what is drawn (0)"
    )


def _diagnose(arguments: argparse.Namespace) -> int:
    import_all(arguments.imports)
    # Errors in arguments are reported before anything takes time.
    _check(arguments)
    from keras_rnnx import diagnosis

    model = load_model(arguments.model)
    data = _data(arguments)
    options = passed(
        arguments, "measures", "sequences", "batches", "batch_size", "seed"
    )
    try:
        report = diagnosis.diagnose(model, *data, **options)
    except ValueError as error:
        given = arguments.data or f"--task {arguments.task}"
        raise CommandError(f"{arguments.model} on {given}: {error}") from error
    out = console()
    out.print(report)
    for label, path in _write(arguments, report).items():
        out.print(f"{label} {path}", soft_wrap=True, markup=False)
    return FOUND if report.findings else 0


def _write(arguments: argparse.Namespace, report: Report) -> dict[str, object]:
    """Writes the files; what they are, and where, for the user."""
    written: dict[str, object] = {}
    try:
        if arguments.html:
            written["Page:"] = report.write_html(arguments.html)
        if arguments.plot:
            try:
                report.plot(arguments.plot)
                written["Figures:"] = Path(arguments.plot)
            except ValueError as error:
                # Of a model with NaN nothing is measured.
                written["No figures:"] = error
        if arguments.json:
            text = json.dumps(report.to_dict(), indent=1, allow_nan=False)
            Path(arguments.json).write_text(text, encoding="utf-8")
            written["Numbers:"] = Path(arguments.json)
    except OSError as error:
        raise CommandError(error) from error
    return written


def _check(arguments: argparse.Namespace) -> None:
    """Raises a CommandError for arguments that can't be right."""
    if bool(arguments.task) == bool(arguments.data):
        given = "both" if arguments.task else "none"
        raise CommandError(
            f"pass --task NAME or --data FILE.npz, one of them: received {given}"
        )
    if arguments.data:
        of_task = {
            "--length": arguments.length,
            "--manual-dir": arguments.manual_dir,
            "--data-dir": arguments.data_dir,
            "--option": arguments.options or None,
        }
        for name in without_none(**of_task):
            raise CommandError(
                f"{name} is about a task, and --data is none: leave it out, or pass "
                f"--task"
            )
    for name in ("html", "plot", "json"):
        path = getattr(arguments, name)
        if path and Path(path).is_dir():
            raise CommandError(f"--{name} {path}: a folder; name a file")
        if path and not Path(path).absolute().parent.is_dir():
            raise CommandError(f"--{name} {path}: there is no such folder")
    if arguments.measures:
        _check_measures(arguments.measures)
    if arguments.html or arguments.plot:
        from keras_rnnx.diagnosis import _pictures

        try:
            _pictures.require("--html" if arguments.html else "--plot")
        except ImportError as error:
            raise CommandError(error) from error
    if arguments.plot:
        _check_picture(arguments.plot)


def _check_measures(measures: list[str]) -> None:
    from keras_rnnx._errors import unknown
    from keras_rnnx.diagnosis import MEASURES

    for name in measures:
        if name not in MEASURES:
            raise CommandError(f"--measures: {unknown('measure', name, MEASURES)}")


def _check_picture(path: str) -> None:
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = FigureCanvasBase.get_supported_filetypes()
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in kinds:
        raise CommandError(
            f"--plot {path}: must end in a kind of picture, one of "
            f"{', '.join(sorted(kinds))}"
        )


def _data(arguments: argparse.Namespace) -> tuple[Any, ...]:
    """What `diagnose` takes behind the model."""
    if arguments.data:
        return _arrays(arguments.data)
    try:
        return (chosen_task(arguments, "--task"),)
    except (ImportError, OSError, ValueError) as error:
        raise CommandError(error) from error


def _arrays(name: str) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    path = Path(name)
    if not path.is_file():
        raise CommandError(f"--data {path}: no such file")
    try:
        held = np.load(path, allow_pickle=False)
        if isinstance(held, np.ndarray):
            raise CommandError(
                f"--data {path}: one array, not an .npz file; write it with "
                f"numpy.savez('data.npz', x=..., y=...)"
            )
        with held:
            arrays = {key: held[key] for key in held.files}
    except (EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise CommandError(
            f"--data {path}: no .npz file of numbers: {error}"
        ) from error
    there = ", ".join(map(repr, arrays)) or "nothing"
    if "x" not in arrays:
        raise CommandError(
            f"--data {path}: the array 'x' is missing; it holds {there}, and must hold "
            f"'x', and 'y' for what needs the loss"
        )
    for key in arrays:
        if key not in ARRAYS:
            raise CommandError(
                f"--data {path}: the array {key!r} is none of 'x', 'y' and "
                f"'sample_weight'; it holds {there}"
            )
    x, y, weights = (arrays.get(key) for key in ARRAYS)
    assert x is not None
    return x, y, weights
