"""What cures do for training, from `benchmarks.cures`."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot, ticker

from drawing.look import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PINK,
    RED,
    SKY,
    band,
    by_setting,
    chance,
    name_lines,
    read,
    save,
    whole,
)

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


def long_lines(axes, names: dict[str, tuple[str, str, bool]]) -> None:
    """The least error so far of some settings, by CPU time, over 1,000 steps."""
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
    long_lines(axes, LONG)
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
