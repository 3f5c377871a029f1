"""How fast layers are beside others."""

from __future__ import annotations

from typing import Any

from matplotlib import pyplot

from drawing.look import BLUE, GREEN, INK, SKY, read, save

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
    # Room for the numbers, in panels that share their axis too.
    axes.margins(x=0.12)


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
