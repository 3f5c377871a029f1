"""Which vendors' kernels each backend has."""

from __future__ import annotations

from keras_rnnx.cells._lowering.spec import KERNELS

# By kernel, the backends that have it on some device. JAX has it only in float32.
SERVED = dict.fromkeys(KERNELS, ("TensorFlow", "torch")) | {
    "lstm": ("TensorFlow", "JAX", "torch"),
    "lstmp": ("torch",),
}


def missing(backend: str, kernel: str) -> str | None:
    """Why a backend has no such kernel on any device, or None.

    Args:
        backend: "TensorFlow", "JAX" or "torch".
        kernel: name of the kernel.
    """
    if backend in SERVED[kernel]:
        return None
    if backend == "TensorFlow":
        return "TensorFlow does not document where its cuDNN op takes the projection"
    return f"{backend} has cuDNN's LSTM alone, and this is its {kernel}"
