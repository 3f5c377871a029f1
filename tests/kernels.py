"""The kernels that there are without a GPU: torch's, or what stands for cuDNN's."""

import keras
import pytest

from keras_rnnx.engine import backends

BACKEND = keras.backend.backend()
ENGINE = "native" if BACKEND == "torch" else "cudnn"


def installed(monkeypatch):
    """Puts stand-ins for kernels that are not there, and counts all calls.

    Returns:
        A list to which each call appends its number of layers, both directions counted.
        On backends that compile it is a call in a trace.
    """
    if BACKEND == "tensorflow":
        pytest.importorskip("cudnn").installed(monkeypatch)
    elif BACKEND == "jax":
        pytest.importorskip("jax_lstm").installed(monkeypatch)
    calls, module = [], backends.current()
    real = module.run_kernel

    def counting(kernel, x, states, weights, lengths, bidirectional=False):
        calls.append(len(weights))
        return real(kernel, x, states, weights, lengths, bidirectional)

    monkeypatch.setattr(module, "run_kernel", counting)
    return calls
