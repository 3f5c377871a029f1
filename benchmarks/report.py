"""The table of a result, and its JSON."""

from __future__ import annotations

import json
import pathlib

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import kept
from benchmarks.kept import PASSES

WIDTH = 110


def show(result: dict) -> None:
    """Prints a result as a table, with its notes."""
    suite = result.get("suite", "layers")
    title = f"{suite}, {result['unit']}: {result['backend']}, {result['device']}"
    table = Table(
        title=f"{title}, {result['date']}", title_justify="left", box=SIMPLE_HEAD
    )
    columns = _memory_columns() if suite == "memory" else _time_columns(suite, result)
    table.add_column("layer", vertical="bottom", no_wrap=True)
    table.add_column("batch, steps,\ninputs, units", no_wrap=True)
    part = "memory of" if suite == "memory" else "pass"
    table.add_column(part, vertical="bottom", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", vertical="bottom", no_wrap=True)
    before = None
    for row in result["rows"]:
        for part, numbers in _lines(row):
            cells = [cell(numbers) for cell in columns.values()]
            head = row["layer"], ", ".join(map(str, row["size"]))
            table.add_row(*(("", "") if head == before else head), part, *cells)
            before = head
    console = Console()
    console = Console(width=max(console.width, WIDTH))
    console.print(table)
    for note in notes(result):
        console.print(note, markup=False)


def _lines(row):
    """The lines of a row: what stands in front, and the numbers by name."""
    if "memory" not in row:
        return [(which, row[which]) for which in PASSES if which in row]
    keras = row["memory"].get("keras")
    return [
        (kind, {"MiB": value, "keras": keras}) for kind, value in row["memory"].items()
    ]


def _time_columns(suite, result):
    """Functions from the medians of a pass to what stands in a column, by its title."""
    present = {
        peer: None
        for row in result["rows"]
        for which in PASSES
        for peer in row.get(which, {})
    }
    if suite in ("engines", "ways"):
        columns = {engine: _milliseconds(engine) for engine in present}
        return {**columns, "fastest": lambda m: min(m, key=m.get) if m else ""}
    if suite == "methods":
        columns = {name: _milliseconds(name) for name in present}
        return {**columns, "ratio": _times("regularized", "plain")}
    if suite == "pipelines":
        columns = {name: _milliseconds(name) for name in present}
        return {**columns, "LSTM /\nbatches": _times("LSTM", "batches")}
    if suite == "stacks":
        columns = {name: _milliseconds(name) for name in present}
        return {**columns, "ratio": _times("layer by layer", "one call")}
    on_gpu = result.get("kind") == "gpu"
    columns = {"Keras": _milliseconds("keras"), "ours": _milliseconds("keras_rnnx")}
    if suite == "layers":
        title = "torch.nn\n(cuDNN)" if on_gpu else "torch.nn"
        columns[title] = _milliseconds("torch")
    columns["Keras /\nours"] = _times("keras")
    if "stepper" in present:
        columns["stepper"] = _milliseconds("stepper")
        columns["Keras /\nstepper"] = _times("keras", "stepper")
    if "keras, XLA" in present:
        columns["Keras,\nXLA"] = _milliseconds("keras, XLA")
        columns["ours,\nXLA"] = _milliseconds("keras_rnnx, XLA")
        columns["Keras / ours,\nXLA"] = _times("keras, XLA", "keras_rnnx, XLA")
    if suite == "layers":
        columns["torch /\nours"] = _times("torch")
        columns["limit,\n% of ours"] = _percent("limit")
        if on_gpu:
            columns["cuDNN,\n% of ours"] = _percent("torch")
    return columns


def _memory_columns():
    return {
        "MiB": lambda m: f"{m['MiB']:.0f}",
        "of Keras'": lambda m: f"{m['MiB'] / m['keras']:.2f}" if m["keras"] else "",
    }


def _milliseconds(peer):
    return lambda m: f"{m[peer]:.2f}" if peer in m else ""


def _times(peer, reference="keras_rnnx"):
    def cell(m):
        return f"{m[peer] / m[reference]:.2f}" if {peer, reference} <= m.keys() else ""

    return cell


def _percent(peer):
    return lambda m: f"{100 * m[peer] / m['keras_rnnx']:.0f}" if peer in m else ""


def notes(result: dict) -> list[str]:
    """What stands below the table: what was left out, and why."""
    left_out = {
        f"{row['layer']}, {name}: left out. {reason}": None
        for row in result["rows"]
        for name, reason in row.get("left_out", {}).items()
    }
    return [*result.get("notes", ()), *left_out, *_below_bar(result)]


def _below_bar(result):
    """Which layers a suite wants faster than they are."""
    judged = [row for row in result["rows"] if "bar" in row]
    found = []
    for row in judged:
        ratio = row["training"]["keras"] / row["training"]["keras_rnnx"]
        if ratio < row["bar"]:
            found.append(
                f"{row['layer']}: a training step is {ratio:.2f} times as fast as "
                f"Keras', less than the {row['bar']} it should be"
            )
    if judged and not found:
        found = [f"All {len(judged)} layers with a bar for training are above it"]
    return found


def write(result: dict, path: pathlib.Path) -> None:
    """Keeps a result as JSON, one row a line."""
    head = {key: value for key, value in result.items() if key != "rows"}
    kept.write(path, head, "rows", result["rows"])


def read(path: pathlib.Path) -> dict:
    """A result that was kept.

    Raises:
        ValueError: if the file holds none.
    """
    try:
        result = json.loads(path.read_text())
        result["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} cannot be shown ({error}). Give a JSON file that "
            f"benchmarks.run has written."
        ) from error
    return result
