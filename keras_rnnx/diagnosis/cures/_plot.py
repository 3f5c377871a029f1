"""The curves of candidates as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from keras_rnnx.diagnosis.cures.tried import Tried

# By Okabe and Ito, clear to colour-blind people too. The model as it is is black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def draw(tried: Tried, path: str | Path | None) -> Any:
    """Validation losses over steps and over seconds.

    Args:
        tried: what was measured.
        path: file to write, or None.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    values = np.concatenate([c.val_loss for c in tried.curves.values()])
    values = values[np.isfinite(values)]
    wide = len(values) > 0 and values.min() > 0 and values.max() > 5 * values.min()
    for axis, name in zip(axes, ("steps", "seconds")):
        for number, trial in enumerate(tried.trials):
            curve = trial.curve
            if curve is None:
                continue
            first = number == 0
            axis.plot(
                getattr(curve, name),
                curve.val_loss,
                color="black" if first else COLOURS[(number - 1) % len(COLOURS)],
                linestyle="--" if first else "-",
                linewidth=1.2 if trial is not tried.winner else 2.4,
                marker="x" if trial.diverged is not None else None,
                label=trial.name,
            )
        axis.set_xlabel(name if name == "steps" else "seconds of training")
        axis.spines[["top", "right"]].set_visible(False)
        if wide:
            axis.set_yscale("log")
    axes[0].set_ylabel("validation loss")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=1, frameon=False, fontsize=8
    )
    if path is not None:
        figure.savefig(path, dpi=130)
    return figure
