"""What README shows."""

from __future__ import annotations

from matplotlib import pyplot

from drawing.cures import long_lines
from drawing.look import BLUE, GREEN, ORANGE, read, save
from drawing.speed import size_of


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
    long_lines(left, names)
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
