"""Times a forward pass and a training step of our layers beside Keras' own.

    python benchmarks/layers.py                     # the short list of sizes
    python benchmarks/layers.py --sizes grid        # batch x steps x units
    KERAS_BACKEND=jax python benchmarks/layers.py

Both layers hold the same weights and are called in turn in one process, so that a
noisy machine hits both alike; the medians and their ratio are printed, and kept in
`benchmarks/results` with the device and the date.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import itertools
import json
import os
import pathlib
import platform
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import keras_rnnx

RESULTS = pathlib.Path(__file__).parent / "results"
# batch, steps, inputs, units
SHORT = [(1, 100, 32, 128), (32, 50, 32, 128), (64, 100, 64, 256), (16, 512, 128, 512)]
BATCHES, STEPS, UNITS = (1, 32, 128), (20, 100, 500), (32, 128, 512)
GRID = [(b, t, u, u) for b, t, u in itertools.product(BATCHES, STEPS, UNITS)]


def forward(layer, x):
    """A compiled forward pass."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        tf = importlib.import_module("tensorflow")
        run = tf.function(lambda x: layer(x, training=False))
        return lambda: run(x).numpy()
    if backend == "jax":
        jax = importlib.import_module("jax")
        run = jax.jit(lambda t, n, x: layer.stateless_call(t, n, x, training=False)[0])
        state = _values(layer)
        return lambda: run(*state, x).block_until_ready()
    torch = importlib.import_module("torch")

    def call():
        with torch.no_grad():
            layer(x, training=False)

    return call


def training(layer, x):
    """Forward and the gradients of all weights."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        tf = importlib.import_module("tensorflow")
        weights = [v.value for v in layer.trainable_variables]

        @tf.function
        def run(x):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(layer(x, training=True)))
            return tape.gradient(loss, weights)

        return lambda: [g.numpy() for g in run(x)]
    if backend == "jax":
        jax = importlib.import_module("jax")

        def loss(t, n, x):
            return (layer.stateless_call(t, n, x, training=True)[0] ** 2).mean()

        run = jax.jit(jax.grad(loss))
        state = _values(layer)
        return lambda: jax.block_until_ready(run(*state, x))

    def call():
        layer.zero_grad()
        (layer(x, training=True) ** 2).mean().backward()

    return call


def _values(layer):
    return (
        [v.value for v in layer.trainable_variables],
        [v.value for v in layer.non_trainable_variables],
    )


def in_turn(functions, seconds):
    """Median milliseconds of each function, all called in turn."""
    for function in functions:
        function()
        function()
    times = [[] for _ in functions]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for function, kept in zip(functions, times):
            start = time.perf_counter()
            function()
            kept.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(t) for t in times]


def measure(name, size, seconds):
    """One row of the table."""
    batch, steps, inputs, units = size
    x = np.random.default_rng(0).normal(size=(batch, steps, inputs)).astype("float32")
    x = keras.ops.convert_to_tensor(x)
    theirs = getattr(keras.layers, name)(units, return_sequences=True)
    ours = getattr(keras_rnnx.layers, name)(units, return_sequences=True)
    theirs.build(x.shape)
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    row = {"layer": name, "size": list(size)}
    for what, make in (("forward", forward), ("training", training)):
        keras_ms, our_ms = in_turn([make(theirs, x), make(ours, x)], seconds)
        row[what] = {
            "keras": keras_ms,
            "keras_rnnx": our_ms,
            "ratio": keras_ms / our_ms,
        }
    return row


def show(rows):
    """The rows as a table."""
    table = Table(title=f"milliseconds, {keras.backend.backend()}, {device()}")
    for column in ("layer", "batch, steps,\ninputs, units"):
        table.add_column(column, no_wrap=True)
    for what in ("forward", "training"):
        for column in (f"{what}\nKeras", "\nours", "\nratio"):
            table.add_column(column, justify="right")
    for row in rows:
        cells = [row["layer"], ", ".join(map(str, row["size"]))]
        for what in ("forward", "training"):
            t = row[what]
            cells += [
                f"{t['keras']:.1f}",
                f"{t['keras_rnnx']:.1f}",
                f"{t['ratio']:.2f}",
            ]
        table.add_row(*cells)
    Console(width=110).print(table)


def device():
    """What the numbers were taken on."""
    backend = keras.backend.backend()
    if backend == "jax":
        kind = importlib.import_module("jax").devices()[0].device_kind
    elif backend == "torch":
        torch = importlib.import_module("torch")
        kind = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    else:
        tf = importlib.import_module("tensorflow")
        gpus = tf.config.list_physical_devices("GPU")
        kind = gpus[0].name if gpus else "cpu"
    return f"{os.cpu_count()} CPU cores" if kind.lower() == "cpu" else kind


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", choices=("short", "grid"), default="short")
    parser.add_argument("--layers", default="LSTM,GRU,SimpleRNN")
    parser.add_argument("--seconds", type=float, default=2.0, help="per measurement")
    options = parser.parse_args()
    sizes = GRID if options.sizes == "grid" else SHORT
    pairs = list(itertools.product(options.layers.split(","), sizes))
    rows = [measure(name, size, options.seconds) for name, size in track(pairs)]
    show(rows)
    backend = keras.backend.backend()
    kept = {
        "date": datetime.date.today().isoformat(),
        "device": device(),
        "processor": platform.machine(),
        "backend": backend,
        "backend_version": importlib.import_module(backend).__version__,
        "keras": keras.__version__,
        "keras_rnnx": keras_rnnx.__version__,
        "unit": "ms, median",
        "rows": rows,
    }
    kind = "cpu" if "CPU" in device() else "gpu"
    path = RESULTS / f"layers-{options.sizes}-{backend}-{kind}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"kept in {path}")


if __name__ == "__main__":
    main()
