"""Measures the layers of keras_rnnx beside others, and keeps table, plot and JSON.

    python -m benchmarks.run                            # layers, the short sizes
    python -m benchmarks.run --suite layers regularized --layers LSTM,GRU
    python -m benchmarks.run --suite engines --units-max 128
    python -m benchmarks.run --sizes 1,20,32,32 8,50,16,64 --seconds 0.5
    python -m benchmarks.run --show benchmarks/results/layers-short-jax-cpu.json

KERAS_BACKEND chooses the backend, and the backend its device. Suites:

    layers       LSTM, GRU and SimpleRNN beside Keras', torch.nn's and the bare products
    regularized  recurrent dropout and a leaky cell beside what Keras alone offers
    workflow     `fit` and `predict` of a model beside the same with Keras' layer
    pipelines    the batches of a task beside an LSTM that is trained on them
    streaming    one step of a stateful layer beside Keras', and `models.stepper`
    methods      our layers with each method against overfitting beside without
    engines      cells on each engine of keras_rnnx
    stacks       two layers in one call of a kernel beside a call for each
    elementwise  cells with one product a step beside Keras' loop over the same equation
    scan         cells that are linear in their state beside Keras' LSTM, 2048 steps
    ways         a linear recurrence step by step, in blocks and in parallel
    memory       peak memory of a training step over 2000 steps

What is compared runs in turn in one process, with the same weights; on a noisy machine
read the ratios.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import logging
import os
import pathlib
import sys

from rich.progress import Progress

from benchmarks import plot, report

RESULTS = pathlib.Path(__file__).parent / "results"
SUITES = ("layers", "regularized", "methods", "engines", "stacks", "elementwise")
SUITES += ("scan", "ways", "memory", "workflow", "streaming", "pipelines")
NAMED_SIZES = ("short", "grid", "all")
# Several frameworks may share a GPU here: none is to take all of its memory.
ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--suite", nargs="+", choices=SUITES, default=["layers"], metavar="SUITE")
    add(
        "--sizes",
        nargs="+",
        type=_size,
        help="short, grid or all, or sizes as batch,steps,inputs,units. Default: grid "
        "for engines, else short. The suites workflow, streaming, pipelines, "
        "elementwise, scan, ways and memory have sizes of their own, which only sizes "
        "in numbers replace",
    )
    add("--layers", help="names of layers, with commas between. Default: all")
    for what in ("batch", "steps", "units"):
        add(f"--{what}-max", type=int, help=f"leave out sizes with more {what}")
    add(
        "--seconds",
        type=float,
        default=2.0,
        help="for each pass of each row, shared by what is compared. Default: 2",
    )
    add(
        "--cpu-time",
        action="store_true",
        help="measure the time of the process on its one core, where others use the "
        "machine too",
    )
    add("--out", type=pathlib.Path, default=RESULTS, help="default: benchmarks/results")
    add("--show", type=pathlib.Path, metavar="FILE", help="print a kept result again")
    options = parser.parse_args()
    sizes = options.sizes or []
    if any(isinstance(s, str) for s in sizes) and len(sizes) > 1:
        parser.error(
            f"--sizes takes one of {', '.join(NAMED_SIZES)} alone, or any number of "
            f"sizes in numbers; received {sizes}"
        )
    return options


def _size(text):
    if text in NAMED_SIZES:
        return text
    try:
        batch, steps, inputs, units = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"received {text!r}; give {', '.join(NAMED_SIZES)}, or four numbers "
            f"batch,steps,inputs,units such as 32,50,32,128"
        ) from None
    return batch, steps, inputs, units


def chosen_sizes(suite, options) -> tuple[str, list[tuple[int, ...]]]:
    """The name of the sizes for a suite, and the sizes."""
    given = importlib.import_module("benchmarks.suites").SIZES
    name, sizes = suite.sizes, given[suite.sizes]
    if options.sizes and not isinstance(options.sizes[0], str):
        name, sizes = "custom", options.sizes
    elif options.sizes and suite.sizes in NAMED_SIZES:
        name, sizes = options.sizes[0], given[options.sizes[0]]
    most = options.batch_max, options.steps_max, None, options.units_max
    kept = [
        size for size in sizes if all(m is None or n <= m for n, m in zip(size, most))
    ]
    if not kept:
        raise SystemExit(
            f"No size is left: --batch-max, --steps-max and --units-max are "
            f"{most[0]}, {most[1]} and {most[3]}, the sizes {sizes}. Raise one, or "
            f"give --sizes in numbers."
        )
    return name, kept


def chosen_layers(suite, options) -> list[str]:
    """The layers of a suite that --layers leaves: "LSTM" and "lstm" are one name."""
    if not options.layers:
        return list(suite.layers)
    asked = {_plain(name): name for name in options.layers.split(",")}
    known = dict.fromkeys((*suite.layers, *suite.others))
    kept = [name for name in known if _plain(name.split(",")[0]) in asked]
    unknown = set(asked) - {_plain(name.split(",")[0]) for name in known}
    if unknown and (not kept or len(options.suite) == 1):
        raise SystemExit(
            f"--layers: received {', '.join(sorted(asked[name] for name in unknown))}, "
            f"which this suite does not have. It has {', '.join(known)}."
        )
    return kept


def _plain(name):
    return name.strip().lower().replace("_", "")


def run(name: str, options: argparse.Namespace) -> None:
    """Measures one suite, prints it and keeps it."""
    # Imports a backend, which the environment has to be ready for.
    suites = importlib.import_module("benchmarks.suites")
    device = importlib.import_module("benchmarks.device")
    suite = suites.SUITES[name]
    sizes_name, sizes = chosen_sizes(suite, options)
    layers = chosen_layers(suite, options)
    if options.cpu_time:
        try:
            importlib.import_module("benchmarks.timing").use_cpu_time()
        except ValueError as error:
            raise SystemExit(str(error)) from None
    kind = "gpu" if device.gpu() else "cpu"
    result = {
        "date": datetime.date.today().isoformat(),
        "suite": name,
        "sizes": sizes_name,
        "kind": kind,
        **device.description(),
        "unit": suite.unit + ", CPU time" * options.cpu_time,
        "notes": suites.notes(name),
        "rows": [],
    }
    for layer in layers:
        suite.check(layer)
    try:
        with Progress(transient=True) as progress:
            task = progress.add_task(name, total=len(layers) * len(sizes))
            for layer in layers:
                for size in sizes:
                    progress.update(task, description=f"{layer} {size}")
                    result["rows"].append(suite.row(layer, size, options.seconds))
                    progress.advance(task)
    except KeyboardInterrupt:
        report.show(result)
        raise SystemExit("Interrupted: the rows above were not kept.") from None
    path = options.out / f"{name}-{sizes_name}-{result['backend']}-{kind}.json"
    report.write(result, path)
    # The figures as they are kept, rounded, so that `--show` prints the same table.
    report.show(report.read(path))
    print(f"kept in {path}; {plot.draw(result, path.with_suffix('.png'))}")


def main() -> None:
    options = arguments()
    if options.show:
        try:
            report.show(report.read(options.show))
        except ValueError as error:
            raise SystemExit(f"--show: {error}") from None
        return
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # It warns of retracing: every size is a new layer here.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    for name in options.suite:
        run(name, options)


if __name__ == "__main__":
    sys.exit(main())
