"""Draws docs/images from what is kept in benchmarks/results.

    python docs/figures.py            # all of them
    python docs/figures.py cures      # those whose names begin so

The figures have no background, and an ink between black and white: they can be read on
light and on dark pages. The colours are those of Okabe and Ito, which the colour-blind
can tell from each other.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot, ticker

from keras_rnnx._pages.axes import spread

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
IMAGES = Path(__file__).parent / "images"
INK = "#7a7a7a"
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PINK, SKY = "#CC79A7", "#56B4E9"
STYLE = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "font.size": 10,
    "svg.fonttype": "none",
    # The same results give the same file.
    "svg.hashsalt": "keras_rnnx",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial"],
}


def read(name: str) -> dict[str, Any]:
    """A result."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def save(figure, name: str) -> None:
    """Writes a figure as SVG."""
    figure.savefig(
        IMAGES / f"{name}.svg",
        transparent=True,
        bbox_inches="tight",
        metadata={"Date": None, "Creator": None},
    )
    pyplot.close(figure)


def by_setting(result: dict[str, Any]) -> dict[str, list[list[float]]]:
    """The curves of all seeds, by setting."""
    curves: dict[str, list[list[float]]] = {}
    for run in result["runs"]:
        values = [np.nan if v is None else v for v in run["curve"]]
        curves.setdefault(run["setting"], []).append(values)
    return curves


def band(
    axes,
    x: np.ndarray,
    curves: list[list[float]],
    color: str,
    logarithmic: bool,
    dashed: bool = False,
) -> float:
    """The mean over seeds as a line, and from the least to the greatest as a band.

    Returns:
        Where the line ends.
    """
    length = min(map(len, curves))
    values = np.array([curve[:length] for curve in curves], float)
    # On a logarithmic axis the mean of the logarithms is in the middle.
    mean = (
        np.exp(np.nanmean(np.log(values), 0)) if logarithmic else np.nanmean(values, 0)
    )
    x = x[:length]
    axes.fill_between(
        x,
        np.nanmin(values, 0),
        np.nanmax(values, 0),
        color=color,
        alpha=0.18,
        linewidth=0,
    )
    axes.plot(x, mean, color=color, linewidth=2, linestyle="--" if dashed else "-")
    return float(mean[-1])


def name_lines(axes, ends: dict[str, tuple[float, str]], gap: float = 0.062) -> None:
    """Names right of the ends of lines, moved until none covers another.

    Args:
        axes: the axes, with its limits and scales set.
        ends: by name the height of the end, and the colour.
        gap: the least distance of two names, as a share of the height.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    x = axes.get_xlim()[1]
    heights = {
        name: to_axes.transform((x, height))[1] for name, (height, _) in ends.items()
    }
    names = sorted(heights, key=heights.get)
    placed = spread([heights[name] for name in names], gap)
    for name, height in zip(names, placed):
        axes.text(
            1.02,
            height,
            name,
            color=ends[name][1],
            transform=axes.transAxes,
            va="center",
            fontsize=9,
        )


def whole(axis) -> None:
    """Ticks at whole numbers."""
    axis.set_major_locator(ticker.MaxNLocator(integer=True))


def chance(axes, value: float, text: str) -> None:
    """A line where a trivial answer is."""
    axes.axhline(value, color=INK, linewidth=1, linestyle=":")
    axes.text(
        0.01,
        value,
        text,
        transform=axes.get_yaxis_transform(),
        va="bottom",
        fontsize=8,
    )


# --- what the methods against lost gradients and overfitting do ---

ADDING = {
    "keras SimpleRNN": ("keras.layers.SimpleRNN", INK, True),
    "keras LSTM": ("keras.layers.LSTM", ORANGE, True),
    "SimpleRNN, irnn": ('SimpleRNN(recipe="irnn")', PINK, False),
    "LSTM, chrono": ('LSTM(recipe="chrono")', BLUE, False),
    "LeakyRNN, leaky, relu, identity": ("LeakyRNN, ReLU, identity", GREEN, False),
}


def cures_adding() -> None:
    """The adding problem over 200 and 400 steps."""
    curves = by_setting(read("cures-adding-tensorflow"))
    figure, both = pyplot.subplots(2, 1, figsize=(6.4, 6.4), sharex=True)
    for axes, steps in zip(both, (200, 400)):
        axes.set(yscale="log", ylabel="validation error", title=f"{steps} steps")
        axes.set_ylim(2e-4, 0.6)
        axes.set_xlim(1, 20)
        chance(axes, 1 / 6, "always answering 1")
        ends = {}
        for name, (label, color, dashed) in ADDING.items():
            runs = curves[f"{steps} steps: {name}"]
            x = np.arange(1, 21)
            ends[label] = (band(axes, x, runs, color, True, dashed), color)
        name_lines(axes, ends)
        whole(axes.xaxis)
    both[-1].set_xlabel("epochs of 200 updates; mean of 5 seeds, least to greatest")
    save(figure, "cures-adding")


LONG = {
    "keras LSTM": ("keras.layers.LSTM", ORANGE, True),
    "LSTM, chrono": ('LSTM(recipe="chrono")', BLUE, False),
    "MinGRU, chrono": ('MinGRU(recipe="chrono")', GREEN, False),
    "LeakyRNN, leaky, relu, identity": ("LeakyRNN, ReLU, identity", RED, False),
    "IndRNN, 2 layers": ("IndRNN, two layers", PINK, False),
}


def _long(axes, names: dict[str, tuple[str, str, bool]]) -> None:
    runs = {run["setting"]: run for run in read("cures-long-tensorflow")["runs"]}
    axes.set(yscale="log", ylabel="least validation error", xscale="log")
    axes.set_ylim(1e-3, 0.4)
    axes.set_xlim(2, 900)
    axes.set_xlabel("seconds of one CPU core")
    ends = {}
    for name, (label, color, dashed) in names.items():
        curve, cpu = runs[name]["curve"], runs[name]["cpu"]
        # Single evaluations jump: what counts is that one was below.
        curve = np.minimum.accumulate(curve)
        # Evaluations come after equal numbers of updates.
        x = cpu * np.arange(1, len(curve) + 1) / len(curve)
        axes.plot(x, curve, color=color, linewidth=2, linestyle="--" if dashed else "-")
        axes.plot(x[-1], curve[-1], "o", color=color, markersize=5)
        ends[label] = (curve[-1], color)
    axes.xaxis.set_major_formatter(ticker.ScalarFormatter())
    axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    name_lines(axes, ends)


def cures_long() -> None:
    """The adding problem over 1,000 steps."""
    figure, axes = pyplot.subplots(figsize=(6.4, 3.8))
    _long(axes, LONG)
    axes.set_title("Adding over 1,000 steps: until the error is below 0.005")
    save(figure, "cures-long")


ORDER = {
    "plain": ("plain", INK, True),
    "clipped": ("clipped", ORANGE, False),
    "clipped, GradientFlow(4)": ("clipped, GradientFlow(4)", BLUE, False),
}


def cures_order() -> None:
    """Temporal order: how many runs are right so far."""
    curves = by_setting(read("cures-order-jax"))
    figure, panels = pyplot.subplots(3, 1, figsize=(6.4, 7), sharex=True)
    for axes, steps in zip(panels, (50, 100, 150)):
        axes.set(title=f"{steps} steps", ylabel="accuracy", ylim=(0.15, 1.05))
        axes.set_xlim(0, 200)
        ends = {}
        for name, (label, color, dashed) in ORDER.items():
            runs = curves[f"{steps} steps: {name}"]
            # A run that is solved, or at chance for long, ends early and stays there.
            runs = [run + [run[-1]] * (200 - len(run)) for run in runs]
            x = np.arange(1, 201)
            end = band(axes, x, runs, color, False, dashed)
            ends[label] = (end, color)
        chance(axes, 0.25, "chance")
        name_lines(axes, ends, gap=0.1)
    panels[-1].set_xlabel("thousands of updates; mean of 5 seeds, least to greatest")
    save(figure, "cures-order")


def cures_chorales() -> None:
    """JSB chorales: each seed, and the mean, by setting."""
    runs: dict[str, list[float]] = {}
    for run in read("cures-chorales-tensorflow")["runs"]:
        runs.setdefault(run["setting"], []).append(run["test"])
    names = sorted(runs, key=lambda name: np.mean(runs[name]), reverse=True)
    figure, axes = pyplot.subplots(figsize=(6.4, 3.6))
    for row, name in enumerate(names):
        color = BLUE if name.startswith("LSTM") else GREEN
        axes.plot(runs[name], [row] * len(runs[name]), "o", color=color, alpha=0.4)
        axes.plot(np.mean(runs[name]), row, "|", color=color, markersize=16, mew=2.5)
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="y", visible=False)
    axes.axvline(8.45, color=INK, linestyle=":")
    axes.text(8.452, -0.9, "LSTM of Bai et al. 2018", fontsize=8, va="bottom")
    axes.set_ylim(-1, len(names) - 0.5)
    axes.set_xlabel("nats a frame on the test part, less is better; 5 seeds")
    save(figure, "cures-chorales")


# --- speed ---

BACKENDS = {"tensorflow": "TensorFlow", "torch": "torch", "jax": "JAX"}
CPU_SIZES = ("1, 100, 32, 128", "32, 50, 32, 128", "64, 100, 64, 256")
SHADES = (BLUE, SKY, GREEN)


def size_of(row: dict[str, Any]) -> str:
    """Batch, steps, inputs and units, as text."""
    return ", ".join(map(str, row["size"]))


def fit_cpu() -> None:
    """`fit` on the CPU, beside Keras, on three backends."""
    figure, panels = pyplot.subplots(1, 3, figsize=(8.4, 3.4), sharex=True, sharey=True)
    for axes, (backend, title) in zip(panels, BACKENDS.items()):
        rows = read(f"workflow-fit-{backend}-cpu")["rows"]
        layers = list(dict.fromkeys(row["layer"] for row in rows))
        layers = [name for name in layers if "XLA" not in name]
        bars(axes, rows, layers, CPU_SIZES, "fit", "keras")
        axes.set(title=title, xlabel="times as fast as Keras")
    legend(figure, panels[0], "batch, steps, inputs, units")
    save(figure, "fit-cpu")


def bars(axes, rows, layers, sizes, which, peer) -> None:
    """How many times as fast, a group of bars for each layer."""
    height = 0.8 / len(sizes)
    for index, size in enumerate(sizes):
        for at, layer in enumerate(layers):
            values = [
                row[which][peer] / row[which]["keras_rnnx"]
                for row in rows
                if row["layer"] == layer and size_of(row) == size
            ]
            if not values:
                continue
            y = at + (index - (len(sizes) - 1) / 2) * height
            label = size if at == 0 else None
            axes.barh(y, values[0], height * 0.9, color=SHADES[index], label=label)
            axes.text(values[0], y, f" {values[0]:.1f}", va="center", fontsize=8)
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_yticks(range(len(layers)), layers)
    axes.grid(axis="y", visible=False)
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    axes.set_xlim(0, axes.get_xlim()[1] * 1.08)


def legend(figure, axes, title: str) -> None:
    """One legend for all panels, below them."""
    handles, labels = axes.get_legend_handles_labels()
    box = figure.legend(
        handles,
        labels,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=len(labels),
        frameon=False,
        title=title,
    )
    box.get_title().set_color(INK)


def regularized_gpu() -> None:
    """What leaves cuDNN in Keras, on a GPU with torch."""
    result = read("regularized-custom-torch-gpu")
    rows = result["rows"]
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    sizes = list(dict.fromkeys(map(size_of, rows)))
    figure, axes = pyplot.subplots(figsize=(6.4, 3.2))
    bars(axes, rows, layers, sizes, "training", "keras")
    axes.set_xlabel(f"training step, times as fast as Keras; {result['device']}, torch")
    legend(figure, axes, "batch, steps, inputs, units")
    save(figure, "regularized-gpu")


def scan() -> None:
    """Cells that are computed by a scan over time, beside Keras' LSTM."""
    figure, panels = pyplot.subplots(1, 2, figsize=(8.4, 3.2), sharey=True)
    for axes, name in zip(panels, ("scan-scan-torch-gpu", "scan-scan-tensorflow-cpu")):
        result = read(name)
        rows = result["rows"]
        layers = [row["layer"] for row in rows]
        bars(axes, rows, layers, [size_of(rows[0])], "training", "keras")
        backend = BACKENDS[result["backend"]]
        axes.set(
            title=f"{backend}, {result['device']}",
            xlabel="times as fast as Keras' LSTM",
        )
    figure.suptitle(f"a training step of {rows[0]['size'][1]:,} steps", color=INK)
    figure.tight_layout()
    save(figure, "scan")


# --- README ---


def readme() -> None:
    """What README shows: one task that an LSTM doesn't learn, one step that is slow."""
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(11, 3.5), gridspec_kw={"wspace": 0.95, "width_ratios": (1.25, 1)}
    )
    names = {
        "keras LSTM": ("keras.layers.LSTM", ORANGE, False),
        "LSTM, chrono": ('LSTM(recipe="chrono")', BLUE, False),
        "MinGRU, chrono": ('MinGRU(recipe="chrono")', GREEN, False),
    }
    _long(left, names)
    left.set_title("Adding two numbers over 1,000 steps")
    result = read("regularized-custom-torch-gpu")
    rows = [row for row in result["rows"] if size_of(row) == "64, 100, 64, 256"]
    labels = {
        "LSTM, recurrent_dropout=0.25": "LSTM,\nrecurrent_dropout",
        "GRU, recurrent_dropout=0.25": "GRU,\nrecurrent_dropout",
        "LeakyRNN, learned leak": "LeakyRNN",
    }
    for at, (name, _) in enumerate(labels.items()):
        (row,) = (row for row in rows if row["layer"] == name)
        for offset, peer, color in (
            (-0.2, "keras", ORANGE),
            (0.2, "keras_rnnx", BLUE),
        ):
            value = row["training"][peer]
            right.barh(at + offset, value, 0.36, color=color)
            right.text(value, at + offset, f" {value:.0f} ms", va="center", fontsize=9)
    right.set_yticks(range(len(labels)), labels.values())
    right.grid(axis="y", visible=False)
    right.invert_yaxis()
    right.set_xlim(0, right.get_xlim()[1] * 1.15)
    right.text(0.98, 0.1, "Keras", color=ORANGE, transform=right.transAxes, ha="right")
    right.text(
        0.98, 0.02, "keras_rnnx", color=BLUE, transform=right.transAxes, ha="right"
    )
    right.set_title(f"A training step, torch, {result['device']}")
    save(figure, "readme")


FIVE = {
    "adding": "Adding over 400 steps: Keras' LSTM",
    "order": "Temporal order over 100 steps: SimpleRNN",
    "independent": "Adding over 1,000 steps: IndRNN",
    "letters": "20,000 letters by heart: LSTM(256)",
    "slow": "Keras' GRU with recurrent dropout",
}


def cures_doctor() -> None:
    """Five networks that fail, and what `try_cures` trained beside each."""
    runs = {run["setting"]: run for run in read("cures-doctor")["runs"]}
    figure, panels = pyplot.subplots(5, 1, figsize=(6.4, 12.5))
    for axes, (name, title) in zip(panels, FIVE.items()):
        run = runs[name]
        axes.set(title=title, ylabel="validation loss")
        if name != "letters":
            axes.set(yscale="log")
        ends = {}
        for number, trial in enumerate(run["trials"]):
            best = trial["name"] == run["cure"]
            color = INK if number == 0 else BLUE if best else SKY
            values = [np.nan if v is None else v for v in trial["val_loss"]]
            axes.plot(
                trial["seconds"],
                values,
                color=color,
                linewidth=2 if best or number == 0 else 1,
                linestyle="--" if number == 0 else "-",
                zorder=3 if best else 2,
            )
            label = "as it is"
            if best:
                # Without the learning rate, and the argument that is switched off.
                label = trial["name"].partition(" and ")[0]
                label = label.replace("recurrent_dropout=0.0, ", "")
            if number == 0 or best:
                ends[label] = (values[-1], color)
        # The first numbers, of a network that has learned nothing, would fill a panel.
        later = [v for t in run["trials"] for v in t["val_loss"][2:] if v is not None]
        axes.set_ylim(0.8 * min(later), 1.5 * max(later))
        axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
        name_lines(axes, ends, gap=0.12)
    panels[-1].set_xlabel("seconds of training; one run")
    figure.tight_layout()
    save(figure, "cures-doctor")


def diagnosis() -> None:
    """What `diagnose` draws of an LSTM with a chrono GRU on top of it."""
    path = RESULTS / "diagnosis.json"
    if not path.exists():
        path.write_text(json.dumps(_diagnosed()) + "\n")
    from keras_rnnx.diagnosis import Report

    Report.from_dict(json.loads(path.read_text())).plot(IMAGES / "diagnosis.svg")


def _diagnosed() -> dict[str, Any]:
    """The report as data; it is measured if the file with it was removed."""
    import keras

    import keras_rnnx
    from keras_rnnx import layers

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(512, 60, 2)).astype("float32")
    y = x[:, 0, :1]
    chrono = keras_rnnx.initializers.Chrono(60)
    model = keras.Sequential(
        [
            keras.Input((60, 2)),
            layers.LSTM(32, return_sequences=True, name="lstm"),
            layers.GRU(32, bias_initializer=chrono, name="chrono_gru"),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    model.fit(x, y, epochs=10, verbose=0)
    return _rounded(keras_rnnx.diagnose(model, x, y).to_dict())


def _rounded(value: Any) -> Any:
    """Numbers with as many digits as a figure shows."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


FIGURES: tuple[Callable[[], None], ...] = (
    cures_adding,
    cures_long,
    cures_order,
    cures_chorales,
    cures_doctor,
    fit_cpu,
    regularized_gpu,
    scan,
    diagnosis,
    readme,
)


def chosen(beginnings: list[str]) -> Iterator[Callable[[], None]]:
    """The figures whose names begin so; all without any."""
    for draw in FIGURES:
        if not beginnings or any(draw.__name__.startswith(b) for b in beginnings):
            yield draw


def main(beginnings: list[str]) -> None:
    """Draws them."""
    IMAGES.mkdir(exist_ok=True)
    with matplotlib.rc_context(STYLE):
        for draw in chosen(beginnings):
            draw()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main(sys.argv[1:])
