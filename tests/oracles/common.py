"""What the oracles share: no more than cannot hide a mistake in all of them."""

import functools
from types import SimpleNamespace

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def relu(a):
    return np.maximum(a, 0)


def leaky_relu(a):
    return np.where(a > 0, a, 0.2 * a)


def columns(weights, n):
    """Every weight matrix cut into its n blocks."""
    return {
        name: np.split(value, n, axis=-1)
        for name, value in weights.items()
        if name in ("kernel", "recurrent_kernel", "bias")
    }


def blocks(weight, gates):
    """The columns of a weight by gate, as in `blocks(kernel, "i f c o").f`; zeros
    where the weight is None."""
    names = gates.split()
    if weight is None:
        return SimpleNamespace(**dict.fromkeys(names, 0.0))
    return SimpleNamespace(**dict(zip(names, np.split(weight, len(names), axis=-1))))


def oracle(run):
    """Lets an oracle compute in float64, whatever it is given."""

    @functools.wraps(run)
    def in_float64(x, weights, states):
        def cast(value):
            return np.asarray(value, "float64")

        weights = {name: cast(value) for name, value in weights.items()}
        return run(cast(x), weights, [cast(state) for state in states])

    return in_float64
