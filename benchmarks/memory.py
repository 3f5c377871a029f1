"""Peak memory of one training step, in a process of its own.

On a CPU: how far the resident memory of the process rises during the step above what
it was before. Libraries, thread pools and compilers have then been used on a short
sequence. The step runs twice, and the peak is that of the second run: memory in which
it was compiled does not count, but what the first run left behind does: buffers that a
backend keeps for the next step, and the compiled step, up to 60 MiB on TensorFlow.

On Linux the peak is VmHWM, set back before the step: `ru_maxrss` of a new process
starts at the peak of its parent, and would hide a smaller one. It stands in where
there is no /proc, with the peak before the step taken off.

On a GPU: the peak of the framework's own counter, above what was held before.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import pathlib
import re
import resource
import subprocess
import sys

import keras

import keras_rnnx
from benchmarks import device, peers
from benchmarks.timing import training

MIB = 2**20
# glibc then gives large buffers back when they are freed, and does not keep them.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "131072"}
WARM_UP_STEPS = 7
KINDS = {
    "keras": lambda name, units: _layer(keras.layers, name, units),
    "keras_rnnx": lambda name, units: _layer(keras_rnnx.layers, name, units),
    "keras_rnnx, checkpoint": lambda name, units: _layer(
        keras_rnnx.layers, name, units, checkpoint=True
    ),
}
PROC = pathlib.Path("/proc/self")


def measure(name: str, size: tuple[int, ...], seconds: float) -> dict:
    """One row: MiB of each kind of layer, each in a fresh process.

    Args:
        name: "LSTM", "GRU" or "SimpleRNN".
        size: batch, steps, inputs, units.
        seconds: not used; a step is measured once.
    """
    row = {"layer": name, "size": list(size), "memory": {}, "left_out": {}}
    for kind in KINDS:
        command = [
            sys.executable,
            "-m",
            "benchmarks.memory",
            name,
            kind,
            *map(str, size),
        ]
        child = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | MALLOC
        )
        if child.returncode:
            raise RuntimeError(
                f"The process that measures the memory of {name} ({kind}) ended with "
                f"status {child.returncode}; its error stands above. Run it alone: "
                f"python benchmarks/memory.py {name} '{kind}' "
                f"{' '.join(map(str, size))}"
            )
        answer = json.loads(child.stdout.splitlines()[-1])
        if "left_out" in answer:
            row["left_out"][kind] = answer["left_out"]
        else:
            row["memory"][kind] = answer["MiB"]
    return row


def _layer(module, name, units, **options):
    return getattr(module, name)(units, return_sequences=True, **options)


def _child(name, kind, size):
    """Measures in this process."""
    batch, steps, inputs, units = size
    try:
        layer = KINDS[kind](name, units)
    except ValueError as error:
        return {"left_out": str(error).split(". ")[0]}
    layer.build((batch, None, inputs))
    short = peers.inputs((batch, min(WARM_UP_STEPS, steps), inputs, units))
    training(layer, short)()
    step = training(layer, peers.inputs(size))
    before, peak = counters()
    held = before()
    step()
    peak(reset=True)
    step()
    return {"MiB": (peak(reset=False) - held) / MIB}


def counters():
    """Functions for the memory in use now and its peak, in bytes.

    The second one takes `reset`: whether the peak begins anew.
    """
    return _gpu_counters() if device.gpu() else _resident_counters()


def _resident_counters():
    """Functions for the resident memory now and its peak, in bytes."""
    if not (PROC / "clear_refs").exists():
        # A peak that cannot be set back: the one before the step is all there is.
        unit = 1 if sys.platform == "darwin" else 1024

        def highest(reset=False):
            return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        return highest, highest

    def status(field):
        text = (PROC / "status").read_text()
        return 1024 * int(re.search(rf"^{field}:\s*(\d+) kB", text, re.MULTILINE)[1])

    def now():
        libc = ctypes.CDLL(None)
        # Free memory that is still resident would be used by the step unseen.
        if hasattr(libc, "malloc_trim"):
            libc.malloc_trim(0)
        return status("VmRSS")

    def peak(reset):
        if reset:
            (PROC / "clear_refs").write_text("5")
        return status("VmHWM")

    return now, peak


def _gpu_counters():
    """Functions for the memory in use now and its peak, by the framework's counter."""
    backend = keras.backend.backend()
    if backend == "torch":
        cuda = importlib.import_module("torch").cuda

        def peak(reset):
            if reset:
                cuda.reset_peak_memory_stats()
            return cuda.max_memory_allocated()

        return cuda.memory_allocated, peak
    if backend == "jax":
        first = importlib.import_module("jax").devices()[0]
        # It cannot be set back, but what came before the step needed less.
        return (
            lambda: first.memory_stats()["bytes_in_use"],
            lambda reset: first.memory_stats()["peak_bytes_in_use"],
        )
    config = importlib.import_module("tensorflow").config.experimental

    def peak_of_gpu(reset):
        if reset:
            config.reset_memory_stats("GPU:0")
        return config.get_memory_info("GPU:0")["peak"]

    return lambda: config.get_memory_info("GPU:0")["current"], peak_of_gpu


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("layer")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("size", type=int, nargs=4, help="batch steps inputs units")
    options = parser.parse_args()
    print(json.dumps(_child(options.layer, options.kind, tuple(options.size))))
