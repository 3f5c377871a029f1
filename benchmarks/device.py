"""What the numbers are taken on, and with which versions."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import pathlib
import platform
import re

import keras

import keras_rnnx


@functools.cache
def gpu() -> str | None:
    """The name of the GPU that the backend computes on, None where it is the CPU."""
    backend = keras.backend.backend()
    if backend == "jax":
        first = importlib.import_module("jax").devices()[0]
        return None if first.platform == "cpu" else first.device_kind
    if backend == "torch":
        cuda = importlib.import_module("torch").cuda
        return cuda.get_device_name() if cuda.is_available() else None
    config = importlib.import_module("tensorflow").config
    gpus = config.list_physical_devices("GPU")
    if not gpus:
        return None
    details = config.experimental.get_device_details(gpus[0])
    return details.get("device_name", gpus[0].name)


def torch():
    """The module torch, or None where it is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    return importlib.import_module("torch")


def torch_note() -> str | None:
    """Why torch.nn cannot run beside the backend on its device, None where it can."""
    if torch() is None:
        return "torch is not installed, so torch.nn is not timed: pip install torch"
    if gpu() and not torch().cuda.is_available():
        return "torch has no CUDA build here, so torch.nn is not timed"
    return None


def cores() -> int:
    """The number of CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cores_said() -> str:
    """The cores in words, with those of the machine where it has more."""
    there = os.cpu_count() or 1
    if cores() == there:
        return f"{there} CPU cores"
    return f"{cores()} of {there} CPU cores"


def processor() -> str:
    """The model name of the CPU."""
    listing = pathlib.Path("/proc/cpuinfo")
    text = listing.read_text() if listing.exists() else ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return model[1] if model else platform.processor() or platform.machine()


def description() -> dict:
    """Device, processor and versions, as they are kept with the numbers."""
    backend = keras.backend.backend()
    return {
        "device": gpu() or cores_said(),
        "processor": processor(),
        "backend": backend,
        "backend_version": importlib.import_module(backend).__version__,
        "keras": keras.__version__,
        "keras_rnnx": keras_rnnx.__version__,
        "torch": torch().__version__ if torch() else None,
    }
