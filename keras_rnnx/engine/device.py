"""The device that a backend runs sequences on, and its vendor's kernels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras

from keras_rnnx.engine import backends
from keras_rnnx.engine.kernels.served import missing


@dataclasses.dataclass(frozen=True)
class Device:
    """A backend and the device that it computes on.

    Attributes:
        backend: name of the Keras backend.
        kernel_engine: the engine that runs vendors' kernels: "cudnn" on a GPU, "native"
            for torch on the CPU, or None.
        vendor: name of the vendor of the kernels.
        kernel_refusal: a function of the name of a kernel and a dtype; returns why the
            kernel cannot run here, or None.
        no_gpu: why there are no kernels of cuDNN, if there are none.
        has_engines: whether the backend has more engines than Keras' loop.
    """

    backend: str
    kernel_engine: str | None
    vendor: str
    kernel_refusal: Callable[[str, str], str | None]
    no_gpu: str
    has_engines: bool = True

    @property
    def on_gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.kernel_engine == "cudnn"

    def absence(self, engine: str) -> str | None:
        """Why an engine of vendors' kernels is not for this device, or None if it is.

        Args:
            engine: "cudnn" or "native".
        """
        if self.kernel_engine == engine:
            return None
        if engine == "cudnn":
            return self.no_gpu
        none = f"{self.backend} has no fused kernels on the CPU"
        return "there is a GPU" if self.on_gpu else none


def here() -> Device:
    """The device that layers run on now."""
    name, backend = keras.backend.backend(), backends.find()
    no_gpu = f"{name} finds no GPU"
    if backend is None:
        return Device(name, None, "", lambda *_: None, no_gpu, has_engines=False)
    engine, vendor = backend.kernels()
    return Device(name, engine, vendor, backend.kernel_refusal, no_gpu)


def elsewhere(backend: str, gpu: bool) -> Device:
    """A device that this machine need not have, for float32.

    Args:
        backend: "TensorFlow", "JAX" or "torch".
        gpu: whether it is a GPU.
    """
    on_cpu = "native" if backend == "torch" else None
    return Device(
        backend.lower(),
        "cudnn" if gpu else on_cpu,
        "cuDNN" if gpu else "torch",
        lambda kernel, dtype: missing(backend, kernel),
        f"{backend} has no fused kernels on the CPU",
    )
