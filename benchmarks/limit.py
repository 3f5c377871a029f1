"""The bare recurrent matrix products: what no engine of the same backend can avoid.

An engine can still be faster than this limit, where it cuts a product in two that run
side by side.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from benchmarks.timing import after, compiled

GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}


def forward(name: str, size: tuple[int, ...]) -> dict[str, Callable]:
    """T sequential products (batch, units) @ (units, gates * units).

    Returns:
        Functions to be timed, by name. There are two on TensorFlow, one with XLA and
        one without: the faster one is the limit.
    """
    batch, steps, _, units = size
    matrix = _matrix(units, GATES[name])
    start = ops.ones((batch, matrix.shape[1]))

    def run(start, matrix):
        return _states(start, matrix, steps)

    return _ways(run, start, matrix)


def training(name: str, size: tuple[int, ...]) -> dict[str, Callable]:
    """The products of `forward`, as many by the transpose, and one for all of dU."""
    batch, steps, _, units = size
    matrix = _matrix(units, GATES[name])
    width = matrix.shape[1]
    transposed = ops.convert_to_tensor(np.ascontiguousarray(matrix.T))
    start = ops.ones((batch, width))
    states = ops.ones((steps * batch, units))
    cotangents = ops.ones((steps * batch, width))

    def run(start, matrix, transposed, states, cotangents):
        one_step = cotangents[:batch]

        def back(_, carry):
            # Each product waits for the one before, by a number too small to matter.
            return (one_step + 1e-30 * carry[:, :1]) @ transposed

        last = _states(start, matrix, steps)
        first = ops.fori_loop(0, steps, back, last[:, :units])
        # In a training step the gradients of all steps come before the last product.
        # What is not returned, a compiler would leave out.
        return first, ops.matmul(ops.transpose(after(first, states)), cotangents)

    return _ways(run, start, matrix, transposed, states, cotangents)


def _states(start, matrix, steps):
    units = matrix.shape[0]
    # The whole product is carried on, so that no compiler leaves a part of it out.
    return ops.fori_loop(0, steps, lambda _, z: z[:, :units] @ matrix, start)


def _matrix(units, gates):
    """An orthogonal block first: numbers neither grow nor become denormal, and slow."""
    random = np.random.default_rng(0)
    blocks = [np.linalg.qr(random.normal(size=(units, units)))[0] for _ in range(gates)]
    return np.concatenate(blocks, axis=1).astype("float32")


def _ways(function, *arguments):
    arguments = [ops.convert_to_tensor(a) for a in arguments]
    ways = {"limit": compiled(function, *arguments)}
    if keras.backend.backend() == "tensorflow":
        ways["limit, XLA"] = compiled(function, *arguments, xla=True)
    return ways
