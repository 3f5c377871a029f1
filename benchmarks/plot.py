"""The plot of a result: one panel a layer, one line a size.

Of a suite with many layers at one size: one panel, one line a layer.
"""

from __future__ import annotations

import collections
import pathlib

from benchmarks.kept import PASSES

COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown")
# What others are compared with, where it is not Keras.
BASELINES = {
    "engines": "step",
    "stacks": "layer by layer",
    "ways": "sequential",
    "pipelines": "LSTM",
}
# One panel is enough for them.
MANY_LAYERS = ("elementwise", "scan", "pipelines")
LABELS = {"keras_rnnx": "keras_rnnx", "torch": "torch.nn"}
INSTALL = 'matplotlib is not installed: pip install "keras-rnnx[plots]"'


def draw(result: dict, path: pathlib.Path) -> str:
    """Draws a result into a PNG file.

    Returns:
        What became of it, in words: without matplotlib it is left out.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return f"the plot was left out, since {INSTALL}"
    suite = result.get("suite", "layers")
    layers = list(dict.fromkeys(row["layer"] for row in result["rows"]))
    many = suite in MANY_LAYERS
    if many:
        layers = [""]
    counted = collections.Counter(
        "" if many else row["layer"] for row in result["rows"]
    )
    lines = max(counted.values())
    if suite == "memory":
        lines *= 3
    figure = Figure(
        figsize=(3 + 3.2 * len(layers) * (1 + many), 2.2 + 0.28 * lines),
        layout="constrained",
    )
    panels = figure.subplots(1, len(layers), sharey=True, squeeze=False)[0]
    for layer, axes in zip(layers, panels):
        rows = [row for row in result["rows"] if many or row["layer"] == layer]
        axes.set_title(layer, fontsize="medium")
        axes.grid(alpha=0.3)
        if suite == "memory":
            _bars(axes, rows)
        else:
            _dots(axes, rows, BASELINES.get(suite, "keras"))
        if many:
            _name_lines(axes, rows)
    # The first size stands on top, as in the table. The panels share their axis.
    panels[0].invert_yaxis()
    panels[0].set_ylabel("layer" if many else "batch, steps, inputs, units")
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    figure.suptitle(
        f"{result['backend']} {result['backend_version']}, {result['device']}, "
        f"{result['processor']}, {result['date']}",
        fontsize="medium",
    )
    figure.savefig(path, dpi=120)
    return f"plot in {path}"


def _dots(axes, rows, baseline):
    """Times faster than the baseline, on a logarithmic axis."""
    names = dict.fromkeys(
        p for row in rows for which in PASSES for p in row.get(which, ())
    )
    others = baseline in BASELINES.values()
    peers = [p for p in names if p in LABELS or (others and p != baseline)]
    for colour, peer in zip(COLOURS, peers):
        for which in PASSES:
            if not any(which in row for row in rows):
                continue
            times = [
                row[which][baseline] / row[which][peer]
                if {baseline, peer} <= row.get(which, {}).keys()
                else float("nan")
                for row in rows
            ]
            axes.plot(
                times,
                range(len(rows)),
                "o",
                color=colour,
                fillstyle="full" if which in ("training", "fit") else "none",
                label=f"{LABELS.get(peer, peer)}, {which}",
            )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    _plain_ticks(axes)
    whom = {"step": "the step engine", "keras": "Keras"}.get(baseline, baseline)
    axes.set_xlabel(f"times faster than {whom}")
    axes.set_yticks(range(len(rows)), [_size(row) for row in rows], fontsize="small")


def _name_lines(axes, rows):
    """The layers in place of their sizes, which stand above where they are all one."""
    sizes = {_size(row) for row in rows}
    titles = [row["layer"] for row in rows]
    if len(sizes) == 1:
        axes.set_title(f"batch, steps, inputs, units: {sizes.pop()}", fontsize="small")
    else:
        titles = [f"{row['layer']}: {_size(row)}" for row in rows]
    axes.set_yticks(range(len(rows)), titles, fontsize="small")


def _plain_ticks(axes):
    """Ticks at 1, 2, 5 and tenfold, in plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    # Where all is close to 1, no such tick might lie on the axis.
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.45), max(high, 2.2))
    # Where there are many decades, each has room for one label.
    subs = (1, 2, 5) if high < 1000 * max(low, 0.45) else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    formatter = ScalarFormatter()
    formatter.set_scientific(False)
    axes.xaxis.set_major_formatter(formatter)
    axes.xaxis.set_minor_formatter(NullFormatter())


def _bars(axes, rows):
    """MiB of each kind of layer."""
    names = [(row, kind) for row in rows for kind in row["memory"]]
    values = [row["memory"][kind] for row, kind in names]
    labels = [f"{kind}\n{_size(row)}" for row, kind in names]
    axes.barh(range(len(names)), values, color=COLOURS[0], height=0.6)
    axes.set_yticks(range(len(names)), labels, fontsize="small")
    axes.set_xlabel("peak memory of a training step, MiB")


def _size(row):
    return ", ".join(map(str, row["size"]))
