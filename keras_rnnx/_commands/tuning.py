"""The commands `keras-rnnx tune` and `keras-rnnx report`."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich.console

from keras_rnnx import _durations
from keras_rnnx._commands.shared import (
    CommandError,
    add_data,
    add_import,
    chosen_task,
    command,
    console,
    import_all,
    names,
    natural,
    option,
    passed,
    positive,
)

if TYPE_CHECKING:
    from keras_rnnx.tuner import SearchResult


def add(commands: Any) -> None:
    """Adds the two commands."""
    tune = command(commands, "tune", _tune, "search for the best model for a task")
    tune.add_argument(
        "task",
        metavar="TASK",
        help="a task of `keras-rnnx tasks`; FILE.py:FUNCTION that returns one; or "
        "data, FILE.npz or FILE.csv (see keras_rnnx.datasets.Task.from_file)",
    )
    add_data(tune)
    tune.add_argument(
        "--dir", required=True, help="folder of the search, to save or to continue it"
    )
    tune.add_argument(
        "--report", action="store_true", help="write a page about the search, too"
    )
    _add_space(tune)
    _add_effort(tune)
    _add_goal(tune)
    add_import(tune)
    report = command(
        commands, "report", _report, "write a page about a search, with figures"
    )
    report.add_argument("directory", metavar="DIR", help="folder of the search")
    report.add_argument(
        "--optuna", metavar="FILE", help="also write a journal for optuna-dashboard"
    )
    report.add_argument(
        "--tensorboard", metavar="DIR", help="also write runs for TensorBoard's HParams"
    )


def _add_space(tune: argparse.ArgumentParser) -> None:
    space = tune.add_argument_group("the search space")
    space.add_argument(
        "--cells", type=names, metavar="A,B", help="cells (lstm,gru,leaky_rnn)"
    )
    space.add_argument(
        "--preset",
        choices=("quick", "standard", "thorough"),
        help="how many hyperparameters (standard)",
    )
    space.add_argument(
        "--space",
        dest="changes",
        action="append",
        default=[],
        type=option,
        metavar="NAME=VALUE",
        help="a value to fix, a list of values, a range (LOW,HIGH), or None for "
        "its default, such as 'units=(16, 64)'; may be repeated",
    )
    space.add_argument(
        "--params",
        type=positive,
        metavar="N",
        help="number of weights of each model, instead of units",
    )
    space.add_argument("--batch-size", type=positive, metavar="N", help="(32)")


def _add_effort(tune: argparse.ArgumentParser) -> None:
    effort = tune.add_argument_group("time and method")
    effort.add_argument(
        "--trials",
        type=positive,
        metavar="N",
        help="models to try (10; with --budget as many as it allows)",
    )
    effort.add_argument(
        "--max-epochs",
        type=positive,
        default=40,
        metavar="N",
        help="largest number of epochs of a trial (40)",
    )
    effort.add_argument(
        "--budget",
        type=duration,
        metavar="TIME",
        help="time for the whole search, such as 90s, 30m, 2h",
    )
    effort.add_argument(
        "--workers",
        type=natural,
        default=1,
        metavar="N",
        help="processes that run trials, each with its share of the cores, or a GPU "
        "(1); 0: the process of the command itself",
    )
    effort.add_argument(
        "--tuner",
        choices=("random", "bayesian", "tpe", "grid"),
        default="random",
        help="how trials are chosen (random)",
    )
    effort.add_argument(
        "--stopping",
        choices=("median", "asha", "none"),
        default="median",
        help="which trials are stopped as hopeless (median)",
    )
    effort.add_argument(
        "--finalists",
        type=natural,
        default=3,
        metavar="N",
        help="number of the best trials that are trained again with other seeds (3)",
    )
    effort.add_argument(
        "--runs",
        type=positive,
        default=3,
        metavar="N",
        help="trainings of each finalist (3)",
    )
    effort.add_argument("--folds", type=positive, default=1, metavar="N", help="(1)")
    effort.add_argument("--seed", type=natural, default=0, metavar="N", help="(0)")


def _add_goal(tune: argparse.ArgumentParser) -> None:
    goal = tune.add_argument_group("the objective, and limits")
    goal.add_argument(
        "--objective", metavar="NAME", help="a name in the logs (the task's objective)"
    )
    goal.add_argument(
        "--max-params",
        type=positive,
        metavar="N",
        help="largest number of weights of a model",
    )
    goal.add_argument(
        "--max-step-ms",
        type=milliseconds,
        metavar="MS",
        help="most milliseconds of a training step",
    )
    goal.add_argument(
        "--max-latency-ms",
        type=milliseconds,
        metavar="MS",
        help="most milliseconds of one step of one sequence",
    )


def duration(text: str) -> float:
    """Seconds of a text such as 90s, 30m or 2h."""
    seconds = _durations.seconds(text)
    if seconds is None:
        raise argparse.ArgumentTypeError(
            f"must be a time such as 90s, 30m or 2h, received {text!r}"
        )
    return seconds


def milliseconds(text: str) -> float:
    """A positive number."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(
            f"must be a positive number, received {text!r}"
        )
    return value


def _tune(arguments: argparse.Namespace) -> None:
    import_all(arguments.imports)
    from keras_rnnx._commands.live import LiveSearch

    out = console()
    try:
        from keras_rnnx import tuner

        task = chosen_task(arguments, "TASK")
        space = dict(arguments.changes)
        chosen = passed(arguments, "cells", "preset", "params")
        # Errors in these arguments are reported before anything else.
        tuner.HyperRNN.for_task(task, space=space, **chosen)
        out.print(task.description or f"The task {task.name}.")
        goal: Any = task.objective
        name = arguments.objective or goal.name
        live = LiveSearch(
            out,
            name,
            goal.direction,
            arguments.trials or (None if arguments.budget else 10),
            arguments.budget,
            arguments.workers or 1,
        )
        with live, warnings.catch_warnings():
            warnings.showwarning = lambda message, *others: out.print(str(message))
            result = tuner.search(
                task,
                tuner=arguments.tuner,
                stopping=None if arguments.stopping == "none" else arguments.stopping,
                max_epochs=arguments.max_epochs,
                finalists=arguments.finalists,
                runs=arguments.runs,
                folds=arguments.folds,
                seed=arguments.seed,
                space=space,
                directory=arguments.dir,
                progress=live,
                command=arguments.command,
                **chosen,
                **passed(
                    arguments,
                    *("batch_size", "trials", "budget", "workers", "objective"),
                    *("max_params", "max_step_ms", "max_latency_ms"),
                ),
            )
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        if not isinstance(error, (ImportError, OSError, ValueError)):
            from keras_rnnx.tuner import SearchError

            if not isinstance(error, SearchError):
                raise
        raise CommandError(error) from error
    if result is None:
        return
    _say(out, arguments, result)


def _say(
    out: rich.console.Console, arguments: argparse.Namespace, result: SearchResult
) -> None:
    out.print(result.table())
    best = result.leaderboard[0]
    model = f"{best['cell']} with {result.describe()}" if best["cell"] else "a model"
    out.print(f"Best: trial {best['trial']}, {model}.", markup=False)
    if result.test is not None:
        figures = ", ".join(f"{k} {v:.4f}" for k, v in result.test.items())
        out.print(f"On test data: {figures}.")
    modules = ["keras", "keras_rnnx", *(Path(n).stem for n in arguments.imports)]
    path = result.directory / "best_model.keras"
    out.print(
        f"To use it: import {', '.join(modules)}; "
        f"keras.models.load_model({str(path)!r})",
        soft_wrap=True,
    )
    if arguments.report:
        try:
            page = result.report()
        except ImportError as error:
            raise CommandError(error) from error
        out.print(f"Report: {page}", soft_wrap=True)


def _report(arguments: argparse.Namespace) -> None:
    directory = Path(arguments.directory)
    if not (directory / "leaderboard.json").is_file():
        raise CommandError(
            f"{directory} holds no finished search: run keras-rnnx tune with "
            f"--dir {directory} first"
        )
    try:
        from keras_rnnx.tuner import reporting

        written = {}
        if arguments.optuna:
            path = reporting.to_optuna(directory, Path(arguments.optuna))
            written["To see it: optuna-dashboard"] = path
        if arguments.tensorboard:
            path = reporting.to_tensorboard(directory, Path(arguments.tensorboard))
            written["To see it: tensorboard --logdir"] = path
        written["Report:"] = reporting.write(directory)
    except (ImportError, OSError, ValueError) as error:
        raise CommandError(error) from error
    out = console()
    for label, path in written.items():
        out.print(f"{label} {path}", soft_wrap=True)
