"""Networks that are steps in time of a differential equation of second order."""

import numpy as np

from oracles.common import blocks, oracle, sigmoid
from oracles.layouts import Layout, register


def cornn(dt=0.042, gamma=2.7, epsilon=4.7):
    """Coupled oscillators: position y, which is put out, and velocity z. The velocity
    is updated first, and moves the position."""

    @oracle
    def run(x, weights, states):
        y, z = states
        V, b = weights["kernel"], weights.get("bias", 0)
        W = blocks(weights["recurrent_kernel"], "y z")
        outputs = []
        for x_t in x.swapaxes(0, 1):
            force = np.tanh(y @ W.y + z @ W.z + x_t @ V + b)
            z = z + dt * (force - gamma * y - epsilon * z)
            y = y + dt * z
            outputs.append(y)
        return np.stack(outputs, 1), [y, z]

    return run


def unicornn(dt=0.19, alpha=30.65):
    """Undamped oscillators that do not see each other, each with its own step."""

    @oracle
    def run(x, weights, states):
        y, z = states
        V, b = weights["kernel"], weights.get("bias", 0)
        w, c = weights["w"], weights["c"]
        outputs = []
        for x_t in x.swapaxes(0, 1):
            z = z - dt * sigmoid(c) * (np.tanh(w * y + x_t @ V + b) + alpha * y)
            y = y + dt * sigmoid(c) * z
            outputs.append(y)
        return np.stack(outputs, 1), [y, z]

    return run


def lem(dt=1.0):
    """Long expressive memory: y, which is put out, sees the new z."""

    @oracle
    def run(x, weights, states):
        y, z = states
        V = blocks(weights["kernel"], "d1 d2 z y")
        W = blocks(weights["recurrent_kernel"], "d1 d2 z y")
        b = blocks(weights.get("bias"), "d1 d2 z y")
        outputs = []
        for x_t in x.swapaxes(0, 1):
            step_z = dt * sigmoid(y @ W.d1 + x_t @ V.d1 + b.d1)
            step_y = dt * sigmoid(y @ W.d2 + x_t @ V.d2 + b.d2)
            z = (1 - step_z) * z + step_z * np.tanh(y @ W.z + x_t @ V.z + b.z)
            y = (1 - step_y) * y + step_y * np.tanh(z @ W.y + x_t @ V.y + b.y)
            outputs.append(y)
        return np.stack(outputs, 1), [y, z]

    return run


# By the names of the cells, with their default options.
register("cornn", cornn(), Layout("h", "h z", "h", states=2))
register(
    "lem",
    lem(),
    Layout("d1 d2 z h", "d1 d2 z h", "d1 d2 z h", states=2),
    keeps={"d1": -1, "d2": -1},
)
register("unicornn", unicornn(), Layout("h", None, "h", ("w", "c"), states=2))
